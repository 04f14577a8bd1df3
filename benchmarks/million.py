"""A million images (or more) through a stage with trivial work, into a real folder: what each step takes.

    python -m benchmarks.million [--images 1000000] [--workers 2] [--shard N] [--folder DIR]

The images do not exist: the stage does not read them. Every step is a process of its own, so that seconds, the core's
seconds and the peak of its memory are its own: those of client and scheduler, which are one process, without the
workers. Making the list of images in memory, which a reader of a data set does else, is told apart.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click

from benchmarks.engine.toy import first_stage
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
        (Path(url) / key).unlink()


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


@click.command()
@click.option("--images", default=1_000_000, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--shard", type=int, help="Images a shard.  [default: what the program takes]")
@click.option("--folder", type=click.Path(file_okay=False), help="Where the store goes.  [default: a temporary folder]")
@click.option("--step", type=click.Choice(list(STEPS)), hidden=True)
def main(images: int, workers: int, shard: int | None, folder: str | None, step: str | None) -> None:
    """Measure all steps one after the other."""
    if step and folder:
        _measured(step, folder, images, workers, shard)
        return
    with tempfile.TemporaryDirectory(dir=folder) as place:
        url = f"{place}/million.zarr"
        print(f"{'step':<50}{'clock, s':>10}{'core, s':>10}{'peak, MB':>10}   list made in, s", flush=True)
        for name in STEPS:
            if "missing" in name:
                _lose_a_shard(url)
            options = ["--images", str(images), "--workers", str(workers), "--folder", url, "--step", name]
            options += ["--shard", str(shard)] if shard else []
            done = subprocess.run([sys.executable, "-m", "benchmarks.million", *options], stdout=subprocess.PIPE)
            if done.returncode:
                raise click.ClickException(f"{name}: status {done.returncode}")
            clock, core, peak, made, told = json.loads(done.stdout.splitlines()[-1])
            print(f"{name:<50}{clock:>10}{core:>10}{peak:>10}   {made} ({told})", flush=True)
        files = [Path(top) / name for top, _, names in os.walk(url) for name in names]
        store, size = open_store(url), sum(path.stat().st_size for path in files)
        print(f"{len(files)} objects, {size / 1e6:.0f} MB; {store.n_shards} shards of {store.shard} images")


if __name__ == "__main__":
    main()
