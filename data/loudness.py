"""How much a command says beside results and errors: one switch for every line and every progress bar on stderr.

`quiet`: nothing. `usual`: notes and progress for a person. `verbose`: lines with the time, as for a log, and with
those of other libraries, Dask's above all.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from rich.console import Console

Loudness = Literal["quiet", "usual", "verbose"]

LOG = logging.getLogger("pdsl")
_LEVELS = {"quiet": logging.ERROR, "usual": logging.INFO, "verbose": logging.DEBUG}
_LINE = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
_WARNINGS = "PYTHONWARNINGS"
"""By this variable processes that are started later hear of it."""


@contextmanager
def speaking(loudness: Loudness) -> Iterator[None]:
    """Within the block this process, and those it starts, are as loud as that.

    Warnings of other libraries are for those who call them, which a user of a command does not: `verbose` has them.
    """
    level, variable = LOG.level, os.environ.get(_WARNINGS)
    LOG.setLevel(_LEVELS[loudness])
    with warnings.catch_warnings(), _log_lines() if loudness == "verbose" else _no_warnings():
        try:
            yield
        finally:
            LOG.setLevel(level)
            os.environ.pop(_WARNINGS, None)
            os.environ.update({} if variable is None else {_WARNINGS: variable})


def is_quiet() -> bool:
    """Whether only results and errors are wanted."""
    return LOG.level > logging.INFO


def is_verbose() -> bool:
    """Whether lines for a log are wanted."""
    return logging.NOTSET < LOG.level < logging.INFO


def note_console(*, markup: bool = False) -> Console:
    """The console for notes and progress, on stderr: it prints nothing if `quiet`, and is no terminal if `verbose`.

    markup: whether rich's marks for bold and colours are read, which names in data must never be."""
    kind = _Lines if is_verbose() else Console
    return kind(
        stderr=True,
        soft_wrap=True,
        markup=markup,
        highlight=False,
        emoji=False,
        quiet=is_quiet(),
        force_terminal=False if is_verbose() else None,
    )


class _Lines(Console):
    """A console that prints a line of a log for whatever it is given."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Text as it is, anything else as it looks without colours."""
        with self.capture() as shown:
            super().print(*objects, **options)
        for line in filter(str.strip, shown.get().splitlines()):
            LOG.info(line)


@contextmanager
def _log_lines() -> Iterator[None]:
    """What libraries log goes to stderr from INFO on, their warnings too."""
    root, handler = logging.getLogger(), logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LINE)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        root.setLevel(level)


@contextmanager
def _no_warnings() -> Iterator[None]:
    warnings.simplefilter("ignore")
    os.environ[_WARNINGS] = "ignore"
    yield
