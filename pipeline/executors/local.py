"""Worker processes on this machine: started from one process that has imported everything, and watched for memory."""

import contextlib
import logging
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path

import dask
from distributed import Client, LocalCluster, Nanny
from distributed.security import Security
from distributed.utils import get_mp_context

from data.loudness import is_verbose
from pipeline.executors.dask import DaskExecutor
from pipeline.task import THREAD_LIMITS

MEMORY = "distributed.worker.memory"
SETTINGS = {
    "distributed.scheduler.worker-ttl": None,
    "distributed.scheduler.allowed-failures": 1,
    "distributed.worker.multiprocessing-method": "forkserver",
    # the system's own limit decides: Dask would divide the machine's memory evenly, and pause or kill a worker that for
    # a moment needs more than its share
    **{f"{MEMORY}.{step}": False for step in ("target", "spill", "pause", "terminate")},
}
START_SECONDS = 300.0
"""How long a busy machine may take until it answers its own client."""
PRELOADED = ("distributed", "distributed.worker", "distributed.nanny", "pipeline.executors.dask")
"""What every worker would import for itself, which takes it a second of its core."""


def local_executor(workers: int, announce: Callable[[str], None] = lambda message: None) -> DaskExecutor:
    """`workers` processes of one thread each on this machine. announce: told of a worker that was ended for its memory.

    They and their client talk over TLS with a key made for this run: whoever else is on the machine can connect to a
    port of the loopback interface, and a Dask scheduler runs what it is sent.
    """
    dask.config.set(SETTINGS)
    _start_forkserver()
    deaths = MemoryDeaths(announce)
    scratch = tempfile.TemporaryDirectory(prefix="pdsl-dask-")
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="tls://127.0.0.1",
        protocol="tls",
        security=Security.temporary(),
        dashboard_address="127.0.0.1:0",
        local_directory=scratch.name,
        silence_logs=logging.INFO if is_verbose() else logging.CRITICAL,
        env={**os.environ, **THREAD_LIMITS},  # the process they are forked from may be older than a variable
        worker_class=_watched_nanny(deaths),
    )

    def shut_down() -> None:
        with contextlib.suppress(Exception):
            cluster.close(timeout=10)
        scratch.cleanup()

    client = Client(cluster, timeout=START_SECONDS)
    return DaskExecutor(client, owned=shut_down, patience=60.0, local=True, memory_died=lambda: deaths.count)


class MemoryDeaths:
    """Counts local workers that the system ended because memory ran out.

    A worker that was killed (SIGKILL) while the kernel's count of such ends rose died of memory; one that was killed
    while it did not was killed by somebody.
    """

    def __init__(self, announce: Callable[[str], None] = lambda message: None) -> None:
        self.count = 0
        self._announce = announce
        self._kills = kernel_kills()

    def ended(self, exit_code: int) -> None:
        """A worker process ended; exit_code: negative is the number of a signal."""
        if exit_code != -signal.SIGKILL or kernel_kills() <= self._kills:
            return
        self._kills = kernel_kills()
        self.count += 1
        self._announce("the system ended a worker because memory ran out; no image is blamed, its shard is tried again")


def kernel_kills() -> int:
    """How many processes the kernel has ended for lack of memory since it started; 0 where it does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _watched_nanny(deaths: MemoryDeaths) -> type[Nanny]:
    class WatchedNanny(Nanny):
        """Tells how its worker process ended."""

        def _on_worker_exit_sync(self, exitcode: int) -> None:
            deaths.ended(exitcode)
            super()._on_worker_exit_sync(exitcode)

    return WatchedNanny


def _start_forkserver() -> None:
    """The process that workers are forked from; with one thread for the numerical libraries, as it hands them on."""
    get_mp_context()  # names Dask's own preloads first, once
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(PRELOADED))
    with _environment(THREAD_LIMITS):
        forkserver.ensure_running()


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
