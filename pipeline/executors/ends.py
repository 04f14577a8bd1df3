"""Why a worker process ended: its nanny sees how, on its own machine, and tells the client.

A Dask scheduler knows only that a worker is gone. Whether memory ran out there, native code crashed or somebody killed
it decides what is to be done: no image is to blame for memory.
"""

import contextlib
import signal
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from distributed import Client, Nanny, NannyPlugin
from distributed.scheduler import WorkerState
from tornado.ioloop import PeriodicCallback

from pipeline.executors.exit_status import read_once

TOPIC = "pdsl-worker-ends"
MEMORY = "memory"
CRASH = "crash"
OTHER = "other"
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGTRAP}
_SAMPLES, _SAMPLE_SECONDS = 3, 2.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class End:
    """kind: `memory`, `crash` or `other`; words: what is known, as a clause; host: the machine."""

    kind: str
    words: str
    host: str


UNKNOWN = End(OTHER, "why is not known: a crash of native code, or out of memory", "")
"""No nanny told: there is none, or it went with its worker."""


def explain(exit_code: int | None, kernel_kills: int, limit: int | None = None) -> End:
    """What the end of a process means.

    exit_code: negative is the number of a signal; None: not known. kernel_kills: processes that the kernel ended for
    lack of memory in the last seconds. limit: bytes beyond which Dask ended this one, if it did.
    """
    host = socket.gethostname()
    if limit is not None:
        return End(MEMORY, f"it went beyond its memory limit of {limit / 1e9:.1f} GB and Dask ended it", host)
    if exit_code is None or exit_code == 255:
        return End(OTHER, UNKNOWN.words, host)
    if exit_code >= 0:
        return End(OTHER, f"it ended by itself with status {exit_code}", host)
    if exit_code == -signal.SIGALRM:
        return End(OTHER, "an image took longer than --image-timeout and could not be broken off", host)
    name = _name(-exit_code)
    if exit_code == -signal.SIGKILL and kernel_kills > 0:
        return End(MEMORY, "the system ended it because memory ran out", host)
    if -exit_code in _CRASHES:
        return End(CRASH, f"a crash of native code, {name}", host)
    if exit_code == -signal.SIGKILL:
        return End(OTHER, f"it was killed from outside, {name}; of memory the kernel says nothing", host)
    return End(OTHER, f"it was ended from outside, {name}", host)


def _name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def kernel_kills() -> int:
    """How many processes the kernel has ended for lack of memory since it started; 0 where it does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


class TellEnds(NannyPlugin):
    """On every nanny: tells how its worker process ended."""

    idempotent = True

    def setup(self, nanny: Nanny) -> None:
        """Watch its present process and those it starts later."""
        read_once()
        counts: deque[int] = deque([kernel_kills()], maxlen=_SAMPLES)
        sampling = PeriodicCallback(lambda: counts.append(kernel_kills()), _SAMPLE_SECONDS * 1000)
        nanny.periodic_callbacks["pdsl-memory"] = sampling
        sampling.start()
        before, terminated, told_of = nanny._on_worker_exit_sync, -1, ""

        def ended(exit_code: int) -> None:
            nonlocal terminated, told_of
            manager, limit = nanny.memory_manager, None
            last = getattr(manager, "_last_terminated_pid", -1)
            if last != terminated and manager is not None:
                terminated, limit = last, manager.memory_limit
            count = kernel_kills()
            end = explain(exit_code, count - counts[0], limit)
            counts.clear()
            counts.append(count)
            # a worker may end before its nanny has heard its address: until then it has that of the worker before
            named = nanny.worker_address if nanny.worker_address != told_of else None
            told_of = named or told_of
            told = {"worker": named or nanny.address, "kind": end.kind, "words": end.words, "host": end.host}
            if exit_code != 0:
                nanny.log_event(TOPIC, told)
            before(exit_code)

        nanny._on_worker_exit_sync = ended  # type: ignore[method-assign]
        if nanny.process is not None:
            nanny.process.on_exit = ended


class WorkerEnds:
    """What the nannies of a client's scheduler tell.

    announce: told at once of each worker that memory ended.
    """

    def __init__(self, client: Client, announce: Callable[[str], None] = lambda message: None) -> None:
        self._announce = announce
        self._ends: dict[str, End] = {}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        client.subscribe_topic(TOPIC, self._told)
        client.register_plugin(TellEnds(), name=TOPIC)

    def _told(self, event: tuple[float, Any]) -> None:
        told = event[1]
        end = End(told["kind"], told["words"], told["host"])
        with self._lock:
            self._ends[told["worker"]] = end
            self._counts[f"{end.host}: {end.words}"] += 1
        if end.kind == MEMORY:
            self._announce(f"a worker on {end.host} ended: {end.words}; no image is blamed, its shard is tried again")

    def count(self) -> Counter[str]:
        """How workers ended, in words with their host, and how often."""
        with self._lock:
            return self._counts.copy()

    def of(self, worker: WorkerState, patience: float = 5.0) -> End:
        """Why a worker ended; its nanny is given `patience` seconds to tell."""
        until = monotonic() + patience
        while True:
            with self._lock:
                if worker.address in self._ends:
                    return self._ends[worker.address]
                if worker.nanny in self._ends:  # of a worker whose address it had not heard yet, for this once
                    return self._ends.pop(worker.nanny)
            if monotonic() > until:
                return UNKNOWN
            threading.Event().wait(_POLL_SECONDS)
