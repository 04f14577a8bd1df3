"""What a process and all that it starts take, seen from outside: seconds of a core, and memory."""

import contextlib
import threading
from types import TracebackType
from typing import Self

import psutil

EVERY_SECONDS = 1.0


class Watched:
    """Looks at a process and at those that it started, within the block; who lives less than a second may be missed.

    core: seconds of a core that each took since the block began, by process id. own: bytes at most of the process
    itself (resident). each: bytes at most of one that it started, together: of all of them at once (what several share
    is counted once, `pss`).
    """

    def __init__(self, pid: int) -> None:
        self.pid, self._top = pid, psutil.Process(pid)
        self.core: dict[int, float] = {}
        self._began: dict[int, float] = {}
        self.own = self.each = self.together = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                self._began[process.pid] = _core(process)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def core_of_started(self) -> float:
        """Seconds of a core that the processes which it started took."""
        return sum(seconds for pid, seconds in self.core.items() if pid != self.pid)

    def _family(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return [self._top, *self._top.children(recursive=True)]
        return []

    def _watch(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            self.look()
        self.look()

    def look(self) -> None:
        """Once, now."""
        together = 0
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                self.core[process.pid] = _core(process) - self._began.get(process.pid, 0.0)
                if process.pid == self.pid:
                    self.own = max(self.own, process.memory_info().rss)
                    continue
                taken = process.memory_full_info().pss
                together += taken
                self.each = max(self.each, taken)
        self.together = max(self.together, together)


def _core(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
