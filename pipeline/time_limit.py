"""A time limit for the work on one image, whatever the work does.

Python code is broken off by an exception in its thread. Native code has GRACE_SECONDS to return to Python; after that a
worker process says at which image it is stuck and ends, by the system's alarm where the code lets no other thread run.
Serially there is no process to spare: native code is waited for.
"""

import ctypes
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

GRACE_SECONDS = 5.0
_TELL_SECONDS = 1.0
"""For a message about a process that is about to end to leave it."""
TOO_LONG = "took longer than {seconds:g} s (--image-timeout)"


class ImageTimeoutError(BaseException):
    """The limit is over. No `Exception`, so that whoever handles those of an image's work lets it pass."""


@contextmanager
def time_limit(seconds: float | None, stuck: Callable[[], None] | None = None) -> Iterator[None]:
    """Raises ImageTimeoutError inside the block after so many seconds; None: never.

    stuck: given in a worker process, which may end; called, by another thread, before it does.
    """
    if seconds is None:
        yield
        return
    is_main = threading.current_thread() is threading.main_thread()
    watch = _Alarm(seconds) if is_main and stuck is None else _Watch(seconds, stuck)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


class _Alarm:
    """For the main thread: a signal, which also breaks off what waits in the system."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._over = seconds, False
        self._before: Any = None

    def start(self) -> None:
        def ring(*_: object) -> None:
            if not self._over:
                self._over = True
                raise ImageTimeoutError

        self._before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def stop(self) -> None:
        self._over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)


class _Watch:
    """For any other thread: a thread that watches it."""

    def __init__(self, seconds: float, stuck: Callable[[], None] | None) -> None:
        self._thread = threading.get_ident()
        self._seconds, self._stuck = seconds, stuck
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._broken_off = False

    def start(self) -> None:
        if self._stuck is not None:  # should nothing here get to run any more
            signal.setitimer(signal.ITIMER_REAL, self._seconds + GRACE_SECONDS + 5 * _TELL_SECONDS)
        threading.Thread(target=self._watch, daemon=True, name="pdsl-time-limit").start()

    def stop(self) -> None:
        """After this no exception is on its way."""
        with self._lock:
            self._over.set()
            if self._broken_off:
                _raise_in(self._thread, None)
        if self._stuck is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _watch(self) -> None:
        if self._over.wait(self._seconds):
            return
        with self._lock:
            if self._over.is_set():
                return
            self._broken_off = True
            _raise_in(self._thread, ImageTimeoutError)
        if self._stuck is not None and not self._over.wait(GRACE_SECONDS):
            self._stuck()
            if not self._over.wait(_TELL_SECONDS):
                os.kill(os.getpid(), signal.SIGALRM)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Let an exception arise in a thread as soon as it runs Python code; None takes back one that has not yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error) if error else None)
