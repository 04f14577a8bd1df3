"""`status`: how far a store is."""

import json as json_format

from rich.console import Console
from rich.table import Table

from pipeline.cost import readable_bytes
from pipeline.progress import duration
from store.status import StageStatus, store_status
from store.store import Store, open_store

REASONS_SHOWN = 10


def run(*, store: str, json: bool = False) -> int:
    """Print a table (or JSON) of the store's stages: done, failed and why, stale, throughput, time left. Returns 0."""
    opened = open_store(store)
    stages = store_status(opened)
    if json:
        attributes = {k: v for k, v in opened.attributes.items() if k not in ("class_names", "category_ids")}
        document = {"store": opened.url, **attributes, "stages": [stage.plain() for stage in stages]}
        print(json_format.dumps(document, indent=2, ensure_ascii=False))
    else:
        _print_table(opened, stages)
    return 0


def _print_table(store: Store, stages: list[StageStatus]) -> None:
    console = Console(highlight=False, soft_wrap=True)
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
        for reason, count in s.tally.reasons.most_common(REASONS_SHOWN):
            console.print(f"{s.stage}: {count} failed: {reason}", markup=False)
        if s.stale:
            console.print(f"{s.stage}: stale: {s.stale}; run precompute --stage {s.stage} --overwrite", markup=False)


def _state(status: StageStatus) -> str:
    if status.running:
        return "running"
    if status.stale:
        return "stale"
    return "complete" if not status.pending else "incomplete"
