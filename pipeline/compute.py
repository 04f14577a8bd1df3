"""Stages over a list of images on this machine: what commands do that need a store and are about something else."""

from collections.abc import Sequence
from contextlib import closing

from data.records import ImageList
from pipeline.chain import Build, Chain
from pipeline.executors.choose import DeferredExecutor
from pipeline.progress import ProgressDisplay, summary_text
from store.create import create_or_open


def compute_stages(url: str, images: ImageList, stages: Sequence[str], build: Build, workers: int | None) -> int:
    """Run `stages`, the first ones in order, into the store at `url`, which is made where it is missing; what is there
    is kept. Tells of each stage.

    workers: local processes; None: one a core. Returns the exit status, 3 if images failed. Raises InputError.
    """
    display = ProgressDisplay()
    display.note(f"{url}: {images.spec} {images.split}, {len(images)} images")
    store = create_or_open(url, images, tell=display.note)
    executor = DeferredExecutor(workers=workers, scheduler=None, cluster=None, announce=display.note)
    status = 0
    with closing(executor):
        for summary in Chain(stages, (), build, listener=display).run(store, images, executor):
            print(f"{url}: {summary_text(summary)}")
            status = max(status, summary.exit_status)
    return status
