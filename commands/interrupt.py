"""SIGINT and SIGTERM end a command by an exception: what is half written goes, workers end, one line tells of it.

While Python still loads the program, and once a command is over, there is nothing to tidy up: they end the process
silently, and nobody sees a traceback of an import.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

Unraisable = Callable[["sys.UnraisableHookArgs"], object]
AGAIN_SECONDS = 0.05
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM, a batch system's Ctrl-C."""


def exit_status(ended: KeyboardInterrupt) -> int:
    """Of a command that a signal ended."""
    return TERMINATED if isinstance(ended, Terminated) else INTERRUPTED


def end_silently() -> None:
    """Until `signals_as_exceptions` begins, and after it. What the process ignores (as a shell's background jobs do
    SIGINT) stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Within the block SIGINT raises KeyboardInterrupt and SIGTERM `Terminated`, in the main thread."""

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: terminate}
    is_main = threading.current_thread() is threading.main_thread()  # others neither get signals nor set handlers
    taken = [number for number in handlers if is_main and signal.getsignal(number) == signal.SIG_DFL]
    told, sys.unraisablehook = sys.unraisablehook, _again(sys.unraisablehook)
    for number in taken:
        signal.signal(number, handlers[number])
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
        sys.unraisablehook = told


def _again(told: Unraisable) -> Unraisable:
    """Where Python can not raise, as in the callback of a weak reference, an exception is lost, and the signal with it:
    that is sent once more, a moment later."""

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            told(lost)
            return
        number = signal.SIGTERM if issubclass(lost.exc_type, Terminated) else signal.SIGINT
        threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()

    return hook
