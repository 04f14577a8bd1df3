"""A training on the terminal: a table that grows by a row now and then, and a progress line, both within 80 columns."""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from data.durations import duration
from data.loudness import note_console
from pdsl.figures import Figures, percent

GROUPS = ("mil", "refine", "mask", "correlation")
"""Columns of the table: the loss terms whose names begin so, added. All terms stand in log.jsonl."""
WIDTH = 9
HEAD_EVERY = 20
"""Rows from one head of the table to the next: it is never out of sight for long."""
ROW_SECONDS = 10.0
"""Rows are at least so far apart, save for the first and the last: a fast run does not flood the terminal."""
SILENCE_SECONDS = 30.0
"""A long evaluation is told of so often where there is no progress line."""
FIRST = "first update at work"
RECENT = 200
"""Updates over which the pace is measured: the first epoch, which computes what later ones read, is soon forgotten."""


class Pace:
    """How long updates take, all else apart, and when the last one will be done."""

    def __init__(self, start: int, steps: int, evaluate_every: int) -> None:
        self.steps, self.evaluate_every = steps, evaluate_every
        self.set_aside = self.evaluation_takes = 0.0
        self.moments = deque([(time.monotonic(), start)], maxlen=RECENT)

    def reached(self, step: int) -> None:
        """`step` updates are done."""
        self.moments.append((time.monotonic() - self.set_aside, step))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within the block something else than an update is at work."""
        began = time.monotonic()
        yield
        self.set_aside += time.monotonic() - began

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """The same for an evaluation; the ones to come are taken to last as long."""
        before = self.set_aside
        with self.aside():
            yield
        self.evaluation_takes = self.set_aside - before

    def seconds_an_update(self) -> float | None:
        """Lately; None before the first update."""
        (began, first), (now, last) = self.moments[0], self.moments[-1]
        return (now - began) / (last - first) if last > first else None

    def seconds_left(self) -> float | None:
        """Until the last update and its evaluation; None before the first update."""
        each = self.seconds_an_update()
        done = self.moments[-1][1]
        if each is None:
            return None
        return (self.steps - done) * each + self._evaluations_left(done) * self.evaluation_takes

    def _evaluations_left(self, done: int) -> int:
        every = self.evaluate_every
        return -(-self.steps // every) - done // every if every and done < self.steps else 0


class Terminal:
    """Writer of table and progress line on stderr."""

    def __init__(self, start: int, steps: int, images_per_step: int, evaluate_every: int) -> None:
        self.steps, self.images_per_step = steps, images_per_step
        self.pace = Pace(start, steps, evaluate_every)
        self.console = note_console()
        self.progress = Progress(
            TextColumn("train"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.console.is_terminal or self.console.quiet,
        )
        self.task = self.progress.add_task("train", total=steps, completed=start, note=FIRST)
        self.rows = 0
        self.told = self.spoke = float("-inf")

    def advance(self, step: int) -> None:
        """Move the progress line."""
        self.pace.reached(step)
        self.progress.update(self.task, completed=step)
        self.updating()

    def updating(self) -> None:
        """Tell the pace: updates are at work, and nothing else any more."""
        each = self.pace.seconds_an_update()
        self.at_work(f"{self.images_per_step / each:.3g} images/s, {self._left()} left" if each else FIRST)

    def at_work(self, note: str) -> None:
        """Tell what is at work, on the progress line."""
        self.progress.update(self.task, note=note)

    def evaluating(self, looked_at: int, images: int) -> None:
        """Tell how far an evaluation is."""
        note = f"evaluation: image {looked_at} of {images}"
        self.at_work(note)
        if not self.console.is_terminal and time.monotonic() - self.spoke > SILENCE_SECONDS:
            self.say(note)

    def say(self, text: str) -> None:
        """A line for the user, above the progress line."""
        self.console.print(text)
        self.spoke = time.monotonic()

    def losses(self, step: int, terms: Mapping[str, float], rate: float) -> None:
        """A row of the table: averages since the log entry before. Left out where the last row is just told."""
        if step < self.steps and time.monotonic() - self.told < ROW_SECONDS:
            return
        groups = {g: sum(v for name, v in terms.items() if name.startswith(g)) for g in GROUPS if _has(terms, g)}
        cells = {"loss": sum(terms.values()), **groups, "images/s": rate}
        if self.rows % HEAD_EVERY == 0:
            self.say(_row(["update", *cells, "left"], cells))
        self.say(_row([str(step), *(f"{value:.3g}" for value in cells.values()), self._left()], cells))
        self.rows += 1
        self.told = time.monotonic()

    def figures(self, step: int, figures: Figures) -> None:
        """A row of what an evaluation found."""
        names = ("AP", "AP50", "AP75")
        kinds = [" ".join([kind, *(f"{n} {percent(figures[kind][n])}" for n in names)]) for kind in ("mask", "box")]
        if figures["box"]["AP"] is None and "image" in figures:  # nobody annotated objects
            kinds = [f"image-level mAP {percent(figures['image']['mAP'])}"]
        self.say(f"{step:>{WIDTH}}  {', '.join(kinds)}")
        if figures["failed"]:
            self.say(f"{'':{WIDTH}}  {figures['failed']} of {figures['images']} images could not be looked at")

    def _left(self) -> str:
        left = self.pace.seconds_left()
        return "-" if left is None else duration(left)


def _has(terms: Mapping[str, float], group: str) -> bool:
    return any(name.startswith(group) for name in terms)


def _row(cells: list[str], columns: Mapping[str, float]) -> str:
    """Cells right under each other, each column as wide as its name asks for."""
    widths = [WIDTH, *(max(WIDTH, len(name) + 1) for name in columns), WIDTH]
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
