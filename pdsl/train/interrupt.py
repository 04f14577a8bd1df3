"""SIGINT and SIGTERM end a run between two updates, after a checkpoint; a second signal ends it at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """signal: the number of the signal that asked to stop, 0 while none did."""

    signal: int = 0


@contextmanager
def catch_signals() -> Iterator[StopRequest]:
    """Within the block the first SIGINT or SIGTERM is noted instead of obeyed. (Main thread only, as signals are.)"""
    request = StopRequest()
    before = {}

    def note(number: int, _: FrameType | None) -> None:
        if request.signal:
            raise KeyboardInterrupt
        request.signal = number

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:  # not the main thread: leave signals to the caller
        yield request
        return
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
