"""SIGINT and SIGTERM end a run between two updates, after a checkpoint; a second signal ends the process at once.

Python runs signal handlers between two of its own instructions, and an update can sit in native code for minutes. So
the signals' numbers go through a pipe (`signal.set_wakeup_fd`) to a thread, which answers wherever the main thread is.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
END = b"\0"


@dataclass
class StopRequest:
    """signal: the number of the signal that asked to stop, 0 while none did."""

    signal: int = 0


@contextmanager
def catch_signals(tell: bool = True, at_once: Callable[[], object] = lambda: None) -> Iterator[StopRequest]:
    """Within the block the first SIGINT or SIGTERM is noted instead of obeyed, and answered in words if `tell`.

    The second ends the process and its loaders with status 128 + its number, after calling `at_once`; under torchrun
    a second SIGTERM does not: a batch system signals all processes, and torchrun hands on what it got. (Main thread
    only, as signals are.)
    """
    request = StopRequest()
    before = {}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def note(number: int, _: FrameType | None) -> None:
        request.signal = request.signal or number

    try:
        for number in SIGNALS:
            before[number] = signal.signal(number, note)
        wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    except ValueError:  # not the main thread: leave signals to the caller
        os.close(reading)
        os.close(writing)
        yield request
        return
    watch = threading.Thread(target=_answer, args=(reading, os.getpid(), tell, at_once), daemon=True)
    watch.start()
    try:
        yield request
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.write(writing, END)  # closing is no end: loader processes have the pipe as well
        watch.join()
        os.close(writing)
        os.close(reading)


def _answer(pipe: int, process: int, tell: bool, at_once: Callable[[], object]) -> None:
    """Read signal numbers: the first is answered, the second ends the process."""
    heard = 0
    while (received := os.read(pipe, 1)) not in (END, b""):
        if received[0] not in SIGNALS or os.getpid() != process:
            continue
        if heard and received[0] == signal.SIGTERM and "TORCHELASTIC_RUN_ID" in os.environ:
            continue
        heard += 1
        if heard == 1:
            if tell:
                name = signal.Signals(received[0]).name
                _say(f"{name}: stopping after this update, with a checkpoint (once more: at once)")
        else:
            _end(128 + received[0], at_once)


def _end(status: int, at_once: Callable[[], object]) -> None:
    """Without waiting for anything: the loaders are killed, then this process ends."""
    _say("ended at once; `--resume` goes on from the last checkpoint")
    for child in multiprocessing.active_children():
        child.kill()
    try:
        at_once()
    finally:
        os._exit(status)


def _say(text: str) -> None:
    """A line past all that may hold a lock; the cursor that a progress line hides comes back."""
    start, end = ("\r\x1b[K", "\x1b[?25h") if os.isatty(2) else ("", "")
    with contextlib.suppress(OSError):
        os.write(2, f"{start}{text}{end}\n".encode())
