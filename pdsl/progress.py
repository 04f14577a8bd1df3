"""One line on stderr for a loop over images."""

import sys
from time import monotonic
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from data.durations import duration
from data.loudness import note_console

LOG_SECONDS = 30.0


class ImageProgress:
    """Images done, failed, time spent and time left; where stderr is no terminal, a plain line every half minute.

    A context manager: the line stands while the block runs.
    """

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done, self.failed = what, total, 0, 0
        self._console = note_console()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(
            *columns, console=self._console, disable=not self._console.is_terminal or self._console.quiet
        )
        self._task = self._bar.add_task(what, total=total, failed="")
        self._begun = self._logged = monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def advance(self, failure: str | None = None) -> None:
        """One more image is done with; `failure` names it and says why nothing came of it."""
        self.done += 1
        if failure is not None:
            self.failed += 1
            if self._console.quiet:  # what failed is said however quiet it is to be
                print(failure, file=sys.stderr)
            self.note(failure)
        failed = f"{self.failed} failed" if self.failed else ""
        self._bar.update(self._task, completed=self.done, failed=failed)
        if not self._console.is_terminal and (now := monotonic()) - self._logged >= LOG_SECONDS:
            self._logged = now
            rest = (now - self._begun) / self.done * (self.total - self.done)
            facts = [f"{self.done} of {self.total} images", failed, f"{duration(rest)} left" if rest else ""]
            self.note(f"{self.what}: {', '.join(fact for fact in facts if fact)}")

    def note(self, text: str) -> None:
        """A line above the bar."""
        self._console.print(text)
