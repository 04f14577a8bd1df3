"""Shards as Dask tasks, a bounded number at a time: neither client nor scheduler ever holds the whole plan."""

import asyncio
import contextlib
import pickle
import queue
import signal
import socket
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import lru_cache
from time import monotonic
from typing import Any

from distributed import Client, Future, KilledWorker, WorkerPlugin, get_worker, wait

from data.errors import InputError
from pipeline.executors.ends import MEMORY, End, WorkerEnds
from pipeline.listener import AtWork
from pipeline.task import Job, ShardTask, limit_threads, probe_image, run_shard
from pipeline.time_limit import TOO_LONG
from pipeline.versions import Versions, versions_here
from store.store import Store, open_store
from store.tally import Tally

IN_FLIGHT_PER_WORKER = 3
"""Tasks handed out for each worker: one at work, the others so that it never waits."""
OUT_OF_MEMORY = (
    "workers ended each time at {images}, on {end.host}: {end.words}; no image is blamed and finished shards are kept: "
    "run the same command again with fewer --workers or more memory for each, end other programs, or leave larger "
    "images out (--data 'SPEC?max_pixels=N')"
)
KILLED = "its worker ended each time, also at this image alone: {end.words}"
CONNECT_SECONDS = 30.0
TLS_CURE = "name certificates in Dask's configuration (distributed.comm.tls, see docs/engine.md)"
TELL_SECONDS = 0.5
"""Between two messages of a worker on single images, if there are few; of many all together send TOLD_A_SECOND."""
TOLD_A_SECOND = 50
STUCK = "{name}-stuck"
"""Topic under which workers tell of an image that they do not get away from."""
_POLL_SECONDS = 1.0
_COUNT_SECONDS = 2.0


class WorkersLostError(InputError):
    """No worker or no scheduler is left."""


class DaskExecutor:
    """Runs shards on the workers of a Dask client.

    owned: what to call to shut down a cluster that was started for this run; None for a cluster of others.
    patience: seconds without any worker after which the run gives up. local: workers are processes of this very
    installation, so that their versions need no check. announce: told of workers that memory ended.
    """

    needs_shared_storage = True

    def __init__(
        self,
        client: Client,
        *,
        owned: Callable[[], None] | None = None,
        patience: float = 300.0,
        local: bool = False,
        announce: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._client = client
        self._local = local
        self._owned = owned
        self._patience = patience
        self._ends = WorkerEnds(client, announce)
        self._workers = 0
        self._counted = -_COUNT_SECONDS
        self._last_seen = monotonic()
        client.register_plugin(_OneThread(ignore_interrupts=owned is not None), name="pdsl-one-thread")

    @property
    def workers(self) -> int:
        """Worker processes at work, counted every few seconds."""
        self._count_workers()
        return self._workers

    @property
    def dashboard(self) -> str:
        """Address of the dashboard."""
        return str(self._client.dashboard_link)

    def ends(self) -> Counter[str]:
        """See `Executor.ends`."""
        return self._ends.count()

    def run(self, job: Job, tasks: Iterable[ShardTask], at_work: AtWork) -> Generator[Tally, None, None]:
        """Results as they come. If the iterator is closed early, shards at work are dropped."""
        wave = _Wave(self._client, job, None if self._local else versions_here(job.stage.packages), at_work)
        self._last_seen = monotonic()
        try:
            remaining = iter(tasks)
            exhausted = False
            while wave.running or not exhausted:
                at_work.staffed(self.workers)
                while not exhausted and len(wave.running) < IN_FLIGHT_PER_WORKER * max(1, self.workers):
                    task = next(remaining, None)
                    exhausted = task is None
                    if task is not None:
                        wave.submit(task, self.workers)
                if wave.running:
                    result = self._next(wave)
                    if result is not None:
                        yield result
        except BaseException:
            self._drop(wave)
            raise
        finally:
            wave.end()

    def _next(self, wave: "_Wave") -> Tally | None:
        try:
            future = wave.finished.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            self._count_workers()
            self._check_alive()
            return None
        if isinstance(future, Stuck):
            wave.give_up(future, self.workers)
            return None
        if future not in wave.running:  # given up meanwhile
            return None
        task = wave.taken(future)
        try:
            return future.result()
        except KilledWorker as error:
            end = self._ends.of(error.last_worker)
            _refuse_shortage(end, wave.at_work_with(task, error).images, error)
            if task.probed:
                raise WorkersLostError(
                    f"workers end at {task.images}, at none of them alone: {end.words}; "
                    "finished shards are kept, run the same command again to continue"
                ) from error
            wave.submit(replace(task, condemned=self._find_killers(wave, task), probed=True), self.workers)
            return None
        except (CancelledError, asyncio.CancelledError) as error:
            raise WorkersLostError(
                "the Dask scheduler went away; finished shards are kept, run the same command again to continue"
            ) from error
        except ModuleNotFoundError as error:
            raise InputError(f"a worker can not import {error.name}; install this program where it runs") from error

    def _find_killers(self, wave: "_Wave", task: ShardTask) -> dict[int, str]:
        """Compute the images of a shard that lost its worker repeatedly one by one, with nothing else at work; those
        that end their worker again, by row, with what is known of it."""
        condemned = {}
        wave.settle()
        for row in range(task.first, task.stop):
            if task.rows is None or row in task.rows:
                try:
                    wave.probe(task, row)
                except KilledWorker as error:
                    end = self._ends.of(error.last_worker)
                    _refuse_shortage(end, task.records[row - task.first].id, error)
                    condemned[row] = KILLED.format(end=end)
        return condemned

    def _count_workers(self) -> None:
        if monotonic() - self._counted < _COUNT_SECONDS:
            return
        self._counted = monotonic()
        with contextlib.suppress(OSError, TimeoutError):
            self._workers = len(self._client.nthreads())
            if self._workers:
                self._last_seen = monotonic()

    def _check_alive(self) -> None:
        if self._client.status not in ("running", "connecting"):
            raise WorkersLostError("the connection to the Dask scheduler is lost; run the same command again")
        silence = monotonic() - self._last_seen
        if silence > self._patience:
            raise WorkersLostError(
                f"no worker for {silence:.0f} s; finished shards are kept, start workers and run the same command again"
            )

    def _drop(self, wave: "_Wave") -> None:
        """Leave nothing at work behind: a cluster of our own ends, on another's the waiting tasks are cancelled."""
        with contextlib.suppress(Exception):
            self._client.cancel(list(wave.running), force=True)
        if self._owned is not None:
            self.close()

    def close(self) -> None:
        """Disconnect; shut the cluster down if it was started for this run."""
        with contextlib.suppress(Exception):
            self._client.close(timeout=5)
        if self._owned is not None:
            self._owned()
            self._owned = None


def _refuse_shortage(end: End, images: str, error: KilledWorker) -> None:
    """Raises WorkersLostError if memory ended the worker that was at these images: none of them is to blame."""
    if end.kind == MEMORY:
        raise WorkersLostError(OUT_OF_MEMORY.format(images=images, end=end)) from error


class _Wave:
    """The tasks handed out and not yet back, and what their workers tell of single images meanwhile."""

    def __init__(self, client: Client, job: Job, versions: Versions | None, at_work: AtWork) -> None:
        self._client = client
        self._payload = pickle.dumps((job, versions))
        self._name = f"{job.stage.name}-{job.run[:8]}"
        self.running: dict[Future, ShardTask] = {}
        self.finished: queue.SimpleQueue[Future | Stuck] = queue.SimpleQueue()
        self._at_work = at_work
        self._image_timeout = job.image_timeout
        client.subscribe_topic(self._name, self._told)
        client.subscribe_topic(STUCK.format(name=self._name), lambda event: self.finished.put(Stuck(*event[1])))

    def _told(self, event: tuple[float, tuple[int, int, int]]) -> None:
        """A worker says how far it is with a shard. Of one that is back meanwhile, or is tried again, nobody asks."""
        first, images, failed = event[1]
        if any(task.first == first for task in list(self.running.values())):
            self._at_work.saw(first, images, failed)

    def taken(self, future: Future) -> ShardTask:
        """The task of a future that has finished."""
        task = self.running.pop(future)
        self._at_work.written(task.first)
        return task

    def end(self) -> None:
        """Nothing more is to be heard."""
        with contextlib.suppress(Exception):
            self._client.unsubscribe_topic(self._name)
            self._client.unsubscribe_topic(STUCK.format(name=self._name))

    def give_up(self, stuck: "Stuck", workers: int) -> None:
        """Hand out a shard again without the image that its worker is stuck at: that worker ends by itself."""
        reason = TOO_LONG.format(seconds=self._image_timeout)
        for future, task in list(self.running.items()):
            if task.first == stuck.first and stuck.row not in task.condemned:
                del self.running[future]
                self._at_work.written(task.first)
                self._client.cancel([future], force=True)
                self.submit(replace(task, condemned={**task.condemned, stuck.row: reason}), workers)

    def submit(self, task: ShardTask, workers: int) -> None:
        key = f"{self._name}-{task.first}" + ("-again" if task.probed else "")
        key += f"-without-{len(task.condemned)}" if task.condemned else ""
        told = _Told(self._name, max(TELL_SECONDS, workers / TOLD_A_SECOND))
        future = self._client.submit(_run, self._payload, task, told, key=key, pure=False)
        self.running[future] = task
        future.add_done_callback(self.finished.put)

    def at_work_with(self, task: ShardTask, error: KilledWorker) -> ShardTask:
        """What the last worker of a lost task was at: of those that were lost with it the one handed out first. The
        others only waited there."""
        lost = [task]
        for future, other in self.running.items():
            reason = future.exception() if future.status == "error" else None
            if isinstance(reason, KilledWorker) and reason.last_worker.address == error.last_worker.address:
                lost.append(other)
        return min(lost, key=lambda one: (one.probed, one.first))

    def settle(self) -> None:
        """Wait until all that was handed out is done, well or not."""
        if self.running:
            wait(list(self.running))

    def probe(self, task: ShardTask, row: int) -> None:
        """Compute one image and drop the result. Raises what became of it."""
        self._client.submit(_probe, self._payload, task, row, pure=False).result()


class _OneThread(WorkerPlugin):
    """Set up on every worker, those that join later included."""

    def __init__(self, ignore_interrupts: bool) -> None:
        self.ignore_interrupts = ignore_interrupts

    def setup(self, worker: Any) -> None:
        limit_threads()
        if self.ignore_interrupts:  # Ctrl-C reaches the whole process group; only the client is to act on it
            with contextlib.suppress(ValueError):
                signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(frozen=True)
class _Told:
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


def _run(payload: bytes, task: ShardTask, told: _Told) -> Tally:
    job, store = _opened(payload)
    return run_shard(job, task, store, told.teller(task.first), told.stuck(task.first))


def _probe(payload: bytes, task: ShardTask, row: int) -> None:
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


def scheduler_executor(address: str, announce: Callable[[str], None] = lambda message: None) -> DaskExecutor:
    """The workers of a running scheduler: tcp://host:8786, or tls:// with the certificates of Dask's settings."""
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except TypeError as error:
        raise InputError(f"--scheduler {address}: {error}; {TLS_CURE}") from error
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(f"--scheduler {address}: can not be reached ({error}); is it running?") from error
    return DaskExecutor(client, announce=announce)
