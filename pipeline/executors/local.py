"""Worker processes on this machine: started from one process that has imported everything, and watched for memory."""

import contextlib
import logging
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import forkserver, resource_tracker

import dask
from distributed import Client, LocalCluster
from distributed.security import Security
from distributed.utils import get_mp_context

from data.loudness import is_verbose
from pipeline.executors.at_exit import close_quietly
from pipeline.executors.capacity import allow_files
from pipeline.executors.dask import DaskExecutor
from pipeline.executors.exit_status import read_once
from pipeline.task import THREAD_LIMITS

MEMORY = "distributed.worker.memory"
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.gil.enabled": False,
}
"""Dask's processes look at themselves 150 times a second, idle ones too: with many workers that takes all cores, and
those that are still starting get nothing. `python -m benchmarks.worker_start` measures it."""
SETTINGS = {
    **QUIET,
    "distributed.comm.timeouts.connect": "100s",  # of a machine with other work; a dead worker refuses at once
    "distributed.scheduler.worker-ttl": None,
    "distributed.scheduler.allowed-failures": 1,
    "distributed.worker.multiprocessing-method": "forkserver",
    # the system's own limit decides: Dask would divide the machine's memory evenly, and pause or kill a worker that for
    # a moment needs more than its share
    **{f"{MEMORY}.{step}": False for step in ("target", "spill", "pause", "terminate")},
}
UNHEARD = logging.CRITICAL + 1
"""Workers that a signal ends beside their scheduler are critical to Dask's; to us that is how they end."""
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
    level = logging.INFO if is_verbose() else UNHEARD
    for name in ("asyncio", "distributed"):
        logging.getLogger(name).setLevel(level)  # where a signal ends workers that are starting, tasks fail unheard
    allow_files(workers)
    read_once()
    close_quietly()
    _start_forkserver()
    with ExitStack() as started:
        scratch = started.enter_context(tempfile.TemporaryDirectory(prefix="pdsl-dask-"))
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="tls://127.0.0.1",
            protocol="tls",
            security=Security.temporary(),
            dashboard_address="127.0.0.1:0",
            local_directory=scratch,
            silence_logs=level,
            env={**os.environ, **THREAD_LIMITS},  # the process they are forked from may be older than a variable
        )
        started.callback(_close, cluster)
        client = Client(cluster, timeout=START_SECONDS)
        shut_down = started.pop_all().close
    return DaskExecutor(client, owned=shut_down, patience=60.0, local=True, announce=announce)


def _close(cluster: LocalCluster) -> None:
    with contextlib.suppress(Exception):
        cluster.close(timeout=10)


def _start_forkserver() -> None:
    """The process that workers are forked from. What it hands on: one thread for the numerical libraries, and that
    Ctrl-C, which a terminal sends to all processes, is the client's alone from their first moment on."""
    get_mp_context()  # names Dask's own preloads first, once
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(PRELOADED))
    resource_tracker.ensure_running()  # it would lift the block that follows
    with _environment(THREAD_LIMITS), _blocked(signal.SIGINT):
        forkserver.ensure_running()


@contextmanager
def _blocked(number: signal.Signals) -> Iterator[None]:
    """Within the block the signal waits; processes that are started there never see it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
