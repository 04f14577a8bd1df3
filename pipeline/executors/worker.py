"""What runs on a worker of Dask: shards, single images, and what is told of them meanwhile."""

import contextlib
import pickle
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any

from distributed import Status, WorkerPlugin, get_worker

from data.errors import InputError
from pipeline.task import Job, ShardTask, prepare_process, probe_image, run_shard
from pipeline.versions import Versions, versions_here
from store.store import Store, open_store
from store.tally import Tally

STUCK = "{name}-stuck"
"""Topic under which workers tell of an image that they do not get away from."""


class OneThread(WorkerPlugin):
    """Set up on every worker, those that join later included. Each works on, however full its memory: a worker that
    Dask pauses waits for data to be spilled, of which there are none here, and would wait for ever. The limit beyond
    which its nanny ends it is as it was; that end is told of.
    """

    def __init__(self, ignore_interrupts: bool) -> None:
        self.ignore_interrupts = ignore_interrupts

    def setup(self, worker: Any) -> None:
        prepare_process()
        worker.memory_manager.memory_pause_fraction = False
        if worker.status is Status.paused:
            worker.status = Status.running
        if self.ignore_interrupts:  # Ctrl-C reaches the whole process group; only the client is to act on it
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(frozen=True)
class Told:
    """How a worker tells of single images: under which topic, and with how many seconds between."""

    topic: str
    every: float

    def teller(self, first: int) -> Callable[[int, int], None]:
        """What is called with the numbers of images of the shard at `first`."""
        worker, last = get_worker(), monotonic()

        def tell(images: int, failed: int) -> None:
            nonlocal last
            if monotonic() - last >= self.every:
                last = monotonic()
                worker.log_event(self.topic, (first, images, failed))

        return tell

    def stuck(self, first: int) -> Callable[[int], None]:
        """What is called with the row of an image that the shard at `first` is stuck at."""
        worker = get_worker()
        return lambda row: worker.log_event(STUCK.format(name=self.topic), (first, row))


@dataclass(frozen=True)
class Stuck:
    """The worker of the shard that begins with image `first` does not get away from image `row`, and ends."""

    first: int
    row: int


def run_task(payload: bytes, task: ShardTask, told: Told) -> Tally:
    """Compute a shard. payload: the pickled job of the run, and the versions that it was planned with or None."""
    job, store = _opened(payload)
    return run_shard(job, task, store, told.teller(task.first), told.stuck(task.first))


def probe_task(payload: bytes, task: ShardTask, row: int) -> None:
    """Compute one image of a shard and drop the result."""
    job, store = _opened(payload)
    probe_image(job, task, row, store)


@lru_cache(maxsize=1)
def _opened(payload: bytes) -> tuple[Job, Store]:
    """The run's job, and its store opened once a worker. Refuses a worker whose versions differ from the client's."""
    job, expected = pickle.loads(payload)
    if expected is not None:
        _check_versions(expected, versions_here(job.stage.packages))
    return job, open_store(job.url)


def _check_versions(expected: Versions, found: Versions) -> None:
    names = {**expected, **found}
    differing = [f"{n} {found.get(n)} instead of {expected.get(n)}" for n in names if found.get(n) != expected.get(n)]
    if differing:
        raise InputError(f"a worker on {socket.gethostname()} has {', '.join(differing)}; install the same versions")
