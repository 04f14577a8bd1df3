"""The progress display: one line a stage on stderr, which moves with every image."""

from time import monotonic

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from data.durations import duration
from data.loudness import is_verbose, note_console
from pipeline.listener import Listener
from pipeline.runner import RunSummary
from store.tally import Tally

LOG_SECONDS = 30.0


class _Course(ProgressColumn):
    """What the display says of its stage now; asked for several times a second."""

    def __init__(self, display: "ProgressDisplay") -> None:
        super().__init__()
        self._display = display

    def render(self, task: Task) -> Text:
        return Text(self._display.course())


class ProgressDisplay(Listener):
    """Images done, images/s, time left, workers, failures; a plain line every half minute where stderr is no terminal.

    Images count as soon as they are computed, before their shard is written.
    """

    def __init__(self) -> None:
        self._console = note_console()
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._todo = self._workers = 0
        self._kept = self._computed = Tally()
        self._at_work = (0, 0)
        self._stage = ""
        self._started = self._logged = monotonic()

    def begin(self, stage: str, todo: int, kept: Tally) -> None:
        self._stage, self._todo, self._kept, self._computed = stage, todo, kept, Tally()
        self._started = self._logged = monotonic()
        self._at_work, self._workers = (0, 0), 0
        if not todo:
            return
        if self._console.is_terminal and not self._console.quiet:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=12), MofNCompleteColumn(), _Course(self))
            self._progress = Progress(*columns, console=self._console)
            self._task = self._progress.add_task(stage, total=kept.images + todo, completed=kept.images)
            self._progress.start()
        else:
            failed = kept.failed + kept.upstream
            self.note(f"{stage}: {todo} images to compute, {kept.done} done, {failed} failed")

    def advance(self, computed: Tally, workers: int) -> None:
        self._computed += computed
        self._workers = workers
        if is_verbose():
            self.note(
                f"{self._stage}: a shard of {computed.images} images is written, {computed.seconds:.1f} s of work"
            )
        self._show()

    def at_work(self, images: int, failed: int, workers: int) -> None:
        self._at_work, self._workers = (images, failed), workers
        self._show()

    def note(self, message: str) -> None:
        self._console.print(message)

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def course(self) -> str:
        """Pace, time left, workers and failures, as far as they are known."""
        done, elapsed = self._done(), monotonic() - self._started
        if done:
            rate = done / max(elapsed, 1e-9)
            pace = f"{rate:.3g} images/s, {duration(max(0, self._todo - done) / rate)} left"
        else:
            pace = f"{'first images at work' if self._workers else 'starting'}, {duration(elapsed)}"
        workers = f", {self._workers} worker{'s' if self._workers > 1 else ''}" if self._workers else ""
        failed = self._kept.failed + self._kept.upstream + self._computed.failed + self._computed.upstream
        failed += self._at_work[1]
        return pace + workers + (f", {failed} failed" if failed else "")

    def _done(self) -> int:
        """Images of this run that are computed, most of them in shards that are written."""
        return min(self._todo, self._computed.images + self._at_work[0])

    def _show(self) -> None:
        if self._progress is not None:
            self._progress.update(self._task, completed=self._kept.images + self._done())
        elif monotonic() - self._logged > LOG_SECONDS:
            self._logged = monotonic()
            left = self._todo - self._done()
            self.note(f"{self._stage}: {self._kept.done + self._done()} done, {left} to do: {self.course()}")


def summary_text(summary: RunSummary) -> str:
    """The last words on a stage."""
    tally, computed = summary.tally, summary.computed.images
    line = f"{summary.stage}: {tally.done} of {summary.images} images done"
    if tally.failed:
        line += f", {tally.failed} failed"
    if tally.upstream:
        line += f", {tally.upstream} without their upstream stage"
    if computed:
        rate = computed / max(summary.seconds, 1e-9)
        line += f"; {computed} computed in {duration(summary.seconds)} ({rate:.3g} images/s)"
    else:
        line += "; nothing to do"
    reasons = [f"  {count} failed: {reason}" for reason, count in tally.reasons.most_common(10)]
    names = [f"    {image_id}: {reason}" for image_id, reason in tally.failures]
    more = tally.failed - len(names)
    names += [f"    and {more} more; `status --failed FILE` lists all"] if more else []
    cure = ["  --retry-failed tries those again"] if tally.failed else []
    if summary.retries:
        times = "once" if summary.retries == 1 else f"{summary.retries} times"
        cure.append(f"  the object store did not answer as it should: a request was made again {times}")
    return "\n".join([line, *reasons, *names, *cure])
