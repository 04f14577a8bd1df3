"""What reaches the terminal: no control character that came with somebody's file names or class names.

Names are data: they may hold escape sequences that move the cursor, rename the window or hide text. All that a command
prints passes here; control characters become visible (`\\x1b`), and of escape sequences a terminal sees only those that
the progress display and colours consist of. Where the output is no terminal, it sees none.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_CONTROL = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff"  # the last: bytes of names that are no UTF-8
_DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Marks that reorder text: what is read is not what is there."""
_OWN = r"\x1b\[[0-9;]*[mAK]|\x1b\[\?25[hl]"
"""Colours, cursor up, erase line, cursor on and off."""
_UNWANTED = re.compile(f"[{_CONTROL}{_DIRECTION}]")
_UNWANTED_ON_TERMINAL = re.compile(f"(?P<own>{_OWN})|[{_CONTROL}{_DIRECTION}]")


def printable(text: str, *, terminal: bool = False) -> str:
    """`text` with control characters made visible; `terminal` leaves the sequences of colours and progress in.

    >>> print(printable("cat\\x1b]0;owned\\x07.jpg"))
    cat\\x1b]0;owned\\x07.jpg
    """
    pattern = _UNWANTED_ON_TERMINAL if terminal else _UNWANTED
    return pattern.sub(lambda found: found.groupdict().get("own") or _visible(found[0]), text)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Within the block all that is printed is printable. A stream that the process was begun without stays none."""
    out, err = (stream and _Guard(stream) for stream in (sys.stdout, sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


def open_closed_streams() -> None:
    """Of a process that was begun with its output closed (`>&-`), so that no file it opens takes that place and gets
    what libraries say."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def give_up_lost_streams() -> None:
    """Flush what was printed. A stream that takes nothing any more (its disk is full, its reader is gone) leads nowhere
    from now on, so that Python does not fail at it again when it ends."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _visible(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


class _Guard:
    """A text stream before another one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()

    def write(self, text: str) -> int:
        self._stream.write(printable(text, terminal=self._terminal))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
