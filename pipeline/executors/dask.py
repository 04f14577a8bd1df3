"""Shards as Dask tasks, a bounded number at a time: neither client nor scheduler ever holds the whole plan."""

import asyncio
import contextlib
import queue
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError
from dataclasses import replace
from time import monotonic

from distributed import Client, KilledWorker

from data.errors import InputError
from pipeline.executors.ends import MEMORY, End, WorkerEnds
from pipeline.executors.wave import Wave
from pipeline.executors.worker import OneThread, Stuck
from pipeline.listener import AtWork
from pipeline.task import Job, ShardTask
from pipeline.versions import versions_here
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
        client.register_plugin(OneThread(ignore_interrupts=owned is not None), name="pdsl-one-thread")

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
        wave = Wave(self._client, job, None if self._local else versions_here(job.stage.packages), at_work)
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

    def _next(self, wave: Wave) -> Tally | None:
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

    def _find_killers(self, wave: Wave, task: ShardTask) -> dict[int, str]:
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

    def _drop(self, wave: Wave) -> None:
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


def scheduler_executor(address: str, announce: Callable[[str], None] = lambda message: None) -> DaskExecutor:
    """The workers of a running scheduler: tcp://host:8786, or tls:// with the certificates of Dask's settings."""
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except TypeError as error:
        raise InputError(f"--scheduler {address}: {error}; {TLS_CURE}") from error
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(f"--scheduler {address}: can not be reached ({error}); is it running?") from error
    return DaskExecutor(client, announce=announce)
