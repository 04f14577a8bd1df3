"""`status`: how far stores are, which images failed, and whether their labels are still those of the data set."""

import csv
import io
import json as json_format
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from commands.expected import expect
from data.catalog import load_images
from data.durations import duration
from data.errors import InputError
from data.files import opened_files
from data.whole_file import write_whole
from pdsl.outputs import refuse_overwriting
from pipeline.cost import readable_bytes
from store.create import only_stored
from store.images import HOW_TOLD_APART
from store.labels import label_changes
from store.status import FailedImage, StageStatus, store_status
from store.store import Store, open_store
from store.workers import by_host

SLOWEST = 3
FEW = 10
"""Reasons, and failed images, that the terminal shows of a stage."""
FAILED_COLUMNS = ("image", "stage", "reason")


def run(
    *,
    store: str | Sequence[str],
    json: bool = False,
    failed: str | None = None,
    watch: float | None = None,
    learnt_from: tuple[str, str] | None = None,
) -> int:
    """Print how far the stages of a store are: a table, or one JSON document. Returns 0.

    watch: print it again after so many seconds, as long as a stage is running.

    store: a URL; of several (a workspace) the document is {"stores": [...]}, with one entry for each. failed: file to
    write the failed images into, CSV with the columns FAILED_COLUMNS, as `precompute --images` reads it. learnt_from:
    (data, split) that training takes from the store, if that is known; of other images only proposals are waited for.
    Raises InputError.
    """
    urls = [store] if isinstance(store, str) else list(store)
    if watch is not None:
        if json or failed is not None:
            raise InputError("--watch: shows tables on a terminal; leave out --json and --failed")
        return _watch(urls, watch, learnt_from)
    with opened_files() as read:
        reports = [_Report.of(open_store(url), learnt_from) for url in urls]
    if failed is not None:
        refuse_overwriting([Path(failed)], option="--failed", files=read, stores=urls)
        write_failed(failed, [image for report in reports for image in report.failures])
    if json:
        documents = [report.plain() for report in reports]
        document = documents[0] if isinstance(store, str) else {"stores": documents}
        print(json_format.dumps(document, indent=2, ensure_ascii=False))
        return 0
    _print_reports(reports)
    return 0


def _print_reports(reports: Sequence["_Report"]) -> None:
    for report in reports:
        _print_table(report.store, report.stages)
        _print_labels(report)
    print(HOW_TOLD_APART)


def _watch(urls: Sequence[str], seconds: float, learnt_from: tuple[str, str] | None) -> int:
    """Print tables until nothing has been running twice in a row: between two stages there is a moment without."""
    idle = 0
    while True:
        reports = [_Report.of(open_store(url), learnt_from) for url in urls]
        running = any(stage.running for report in reports for stage in report.stages)
        idle = 0 if running else idle + 1
        if sys.stdout.isatty():
            click.clear()
        print(time.strftime("%H:%M:%S"))
        _print_reports(reports)
        if idle > 1 or (idle and all(not stage.pending for report in reports for stage in report.stages)):
            print("no stage is running")
            return 0
        time.sleep(seconds)


@dataclass(frozen=True)
class _Report:
    """What is to be said of one store.

    changes: how the data set's labels differ from the store's. added: images that the data set has and the store lacks.
    unchecked: why the two could not be compared, or None.
    """

    store: Store
    stages: list[StageStatus]
    changes: list[str] = field(default_factory=list)
    added: int = 0
    unchecked: str | None = None

    @classmethod
    def of(cls, store: Store, learnt_from: tuple[str, str] | None) -> "_Report":
        """Read records, and the data set's labels unless a run at work has just brought them in."""
        stages = store_status(store)
        expect(stages[1:], store, learnt_from)
        if any(stage.running for stage in stages):
            return cls(store, stages, unchecked="a stage is running")
        try:
            listed = load_images(store.attributes["spec"], store.attributes["split"])
            images = store.align(only_stored(store, listed))
        except InputError as error:  # the store may have been copied to where the images are not
            return cls(store, stages, unchecked=str(error))
        return cls(store, stages, label_changes(store, images), len(listed) - len(images))

    @property
    def failures(self) -> list[FailedImage]:
        """Images that failed by themselves in any stage."""
        return [image for stage in self.stages for image in stage.failures]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        attributes = {k: v for k, v in self.store.attributes.items() if k not in ("class_names", "category_ids")}
        return {
            "store": self.store.url,
            **attributes,
            "stages": [stage.plain() for stage in self.stages],
            "failures": [asdict(image) for image in self.failures],
            "label_changes": self.changes,
            "images_not_in_store": self.added,
            "labels_unchecked": self.unchecked,
        }


def write_failed(path: str, images: Sequence[FailedImage]) -> None:
    """Write a CSV of failed images, whole or not at all. Raises OSError if that fails."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(FAILED_COLUMNS)
    rows.writerows((image.image, image.stage, image.reason) for image in images)
    write_whole(Path(path), text.getvalue())


def _print_labels(report: _Report) -> None:
    for change in report.changes:
        print(f"labels: {change}; run `relabel` to bring that in, nothing is computed again")
    if report.added:
        print(f"images: {report.added} of the data set are not in the store yet; precompute adds them")
    if report.unchecked:
        print(f"labels: not compared with the data set: {report.unchecked}")


def _print_table(store: Store, stages: list[StageStatus]) -> None:
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    a = store.attributes
    console.print(f"{store.url}: {a['n_images']} images of {a['spec']} {a['split']}", markup=False)
    if not stages:
        console.print("no stage was begun; run precompute")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("stage", "done", "failed", "upstream", "pending", "size", "s/image", "state"):
        table.add_column(name, no_wrap=True, justify="left" if name in ("stage", "state") else "right")
    for s in stages:
        table.add_row(
            s.stage,
            str(s.tally.done),
            str(s.tally.failed),
            str(s.tally.upstream),
            str(s.pending),
            readable_bytes(s.tally.bytes),
            "-" if s.seconds_per_image is None else f"{s.seconds_per_image:.3g}",
            _state(s),
        )
    console.print(table)
    for s in stages:
        if s.running:
            rate = "" if s.images_per_second is None else f", {s.images_per_second:.3g} images/s"
            left = "" if s.seconds_left is None else f", {duration(s.seconds_left)} left"
            console.print(f"{s.stage}: running on {s.running}{rate}{left}", markup=False)
        if s.not_begun:
            console.print(f"{s.stage}: not begun for {s.not_begun} other images; evaluation needs proposals alone")
        for line in _about_workers(s):
            console.print(f"{s.stage}: {line}", markup=False)
        for reason, count in s.tally.reasons.most_common(FEW):
            console.print(f"{s.stage}: {count} failed: {reason}", markup=False)
        for image in s.failures[:FEW]:
            console.print(f"{s.stage}: image {image.image}: {image.reason}", markup=False)
        if len(s.failures) > FEW:
            console.print(f"{s.stage}: {len(s.failures) - FEW} more; --failed FILE or --json list all of them")
        if s.stale:
            console.print(f"{s.stage}: stale: {s.stale}; run precompute --stage {s.stage} --overwrite", markup=False)


def _about_workers(status: StageStatus) -> list[str]:
    """Of the run at work: throughput by machine, workers that may be stuck; the slowest images."""
    lines = []
    for host, shares in list(by_host(status.workers).items())[:FEW] if status.running else ():
        images, seconds = sum(share.images for share in shares), sum(share.seconds for share in shares)
        speed = f", {images / seconds:.3g} images/s and worker" if seconds else ""
        lines.append(f"{host}: {len(shares)} worker{'s' if len(shares) > 1 else ''}, {images} images{speed}")
    for share in status.silent[:FEW]:
        silence = duration(time.time() - share.last)
        lines.append(f"worker {share.worker} has written nothing for {silence}: it ended, or is stuck at an image")
    if status.slowest:
        slowest = ", ".join(f"{image} {seconds:.3g} s" for image, seconds in status.slowest[:SLOWEST])
        lines.append(f"slowest images: {slowest}")
    return lines


def _state(status: StageStatus) -> str:
    if status.running:
        return "running"
    if status.stale:
        return "stale"
    return "complete" if not status.pending else "incomplete"
