"""A million images (or more) through a stage with trivial work, into a real store: what each step takes.

    python -m benchmarks.million [--images 1000000] [--workers 2] [--shard N] [--folder DIR] [--s3 | --store URL]

The images do not exist: the stage does not read them. Every step is a process of its own, so that seconds, the core's
seconds and the peak of its memory are its own: those of client and scheduler, which are one process. Its workers, and
with --s3 the server (`rclone serve s3` over the folder), are told beside it. Making the list of images in memory, which
a reader of a data set does else, is told apart. --store URL: a place of your own; it has to be empty, and stays.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import click
import psutil

from benchmarks.engine.s3 import BUCKET, s3_server
from benchmarks.engine.toy import first_stage
from benchmarks.engine.watched import Watched
from data.records import ImageList, ImageRecord, Records
from pipeline.executors.choose import DeferredExecutor
from pipeline.runner import RunSummary, run_stage
from store.create import create_or_open
from store.status import store_status
from store.store import open_store

CLASSES = 80
Step = Callable[[str, int, int, int | None], object]


def listed(n: int) -> ImageList:
    """`n` images with ids, names and labels like COCO's."""
    records = (
        ImageRecord(f"{k:012d}", f"/data/coco/train2017/{k:012d}.jpg", (427 + k % 213, 640), (k % 79, 79))
        for k in range(n)
    )
    names = tuple(f"class {k}" for k in range(CLASSES))
    return ImageList("coco:/data/coco", "train2017", names, tuple(range(CLASSES)), Records.of(records))


def _create(url: str, n: int, workers: int, shard: int | None) -> object:
    return len(create_or_open(url, LIST[0], shard=shard))


def _run(url: str, n: int, workers: int, shard: int | None) -> RunSummary:
    with closing(DeferredExecutor(workers=workers, scheduler=None, cluster=None)) as executor:
        return run_stage(create_or_open(url, LIST[0]), LIST[0], first_stage(), executor)


def _lose_a_shard(url: str) -> None:
    """One from the middle, with its record."""
    store = open_store(url)
    first, stop = store.bounds(store.n_shards // 2)
    for key in (f"toy/records/{first}-{stop}.json", f"toy/count/c/{store.n_shards // 2}"):
        store.objects.delete(key)


def _missing(url: str, n: int, workers: int, shard: int | None) -> object:
    summary = _run(url, n, workers, None)
    assert summary.computed.images == open_store(url).shard, summary
    return summary.computed.images


STEPS: dict[str, tuple[bool, Step]] = {
    "create the store": (True, _create),
    "run the stage": (True, lambda *given: _run(*given).computed.images),
    "status": (False, lambda url, *_: [status.tally.done for status in store_status(open_store(url))]),
    "open the store, read its image list": (False, lambda url, *_: len(open_store(url).images())),
    "open it and require the stage, as training does": (False, lambda url, *_: open_store(url).require("toy")),
    "run again, nothing to do": (True, lambda *given: _run(*given).computed.images),
    "run again, one shard missing": (True, _missing),
}
"""Name -> whether it needs the image list, what it does."""
LIST: list[ImageList] = []


def _measured(name: str, url: str, n: int, workers: int, shard: int | None) -> None:
    """One step in this process; what it took as a line of JSON."""
    needs_list, step = STEPS[name]
    started = time.perf_counter()
    if needs_list:
        LIST.append(listed(n))
    made = time.perf_counter()
    before = time.process_time()
    told = step(url, n, workers, shard)
    ended = time.perf_counter()
    core = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([round(ended - made, 2), round(core, 2), round(peak), round(made - started, 1), str(told)]))


HEADS = ("clock, s", "core, s", "peak, MB", "workers' core, s", "one, MB", "all, MB", "server's core, s", "MB")


def _watched(command: list[str], server: int | None) -> tuple[str, Watched, Watched | None]:
    """What a process printed last, what it and those it started took, and what the server did meanwhile."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as step, ExitStack() as watching:
        seen = watching.enter_context(Watched(step.pid))
        served = watching.enter_context(Watched(server)) if server else None
        said = step.communicate()[0]
    if step.returncode:
        raise click.ClickException(f"{command[-1]}: status {step.returncode}")
    return said.splitlines()[-1], seen, served


@click.command()
@click.option("--images", default=1_000_000, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--shard", type=int, help="Images a shard.  [default: what the program takes]")
@click.option("--folder", type=click.Path(file_okay=False), help="Where the store goes.  [default: a temporary folder]")
@click.option("--s3", is_flag=True, help="Through `rclone serve s3` over that folder.")
@click.option("--store", help="A folder or URL of your own in its place.")
@click.option("--step", type=click.Choice(list(STEPS)), hidden=True)
def main(
    images: int, workers: int, shard: int | None, folder: str | None, s3: bool, store: str | None, step: str | None
) -> None:
    """Measure all steps one after the other."""
    if step and store:
        _measured(step, store, images, workers, shard)
        return
    with ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(dir=folder))
        server = None
        if s3:
            stack.enter_context(s3_server(Path(place)))
            (server,) = [one.pid for one in psutil.Process().children() if one.name() == "rclone"]
        url = store or (f"s3://{BUCKET}/million.zarr" if s3 else f"{place}/million.zarr")
        print(f"{'step':<50}" + "".join(f"{head:>18}" for head in HEADS) + "   list made in, s", flush=True)
        for name in STEPS:
            if "missing" in name:
                _lose_a_shard(url)
            options = ["--images", str(images), "--workers", str(workers), "--store", url]
            options += ["--shard", str(shard)] if shard else []
            said, seen, served = _watched(
                [sys.executable, "-m", "benchmarks.million", *options, "--step", name], server
            )
            clock, core, peak, made, told = json.loads(said)
            row = [clock, core, peak, round(seen.core_of_started, 1), seen.each // 10**6, seen.together // 10**6]
            row += [round(served.core[served.pid], 1), served.own // 10**6] if served else ["", ""]
            print(f"{name:<50}" + "".join(f"{value:>18}" for value in row) + f"   {made} ({told})", flush=True)
        whole = open_store(url)
        sizes = [size for _, size in whole.objects.entries("")]
        print(f"{len(sizes)} objects, {sum(sizes) / 1e6:.0f} MB; {whole.n_shards} shards of {whole.shard} images")


if __name__ == "__main__":
    main()
