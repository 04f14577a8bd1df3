"""The progress display: one line a stage on stderr."""

from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from data.durations import duration
from pipeline.listener import Listener
from pipeline.runner import RunSummary
from store.tally import Tally

_LOG_SECONDS = 30.0


class _Rate(ProgressColumn):
    """Images a second and time left, from this run's images only."""

    def render(self, task: Task) -> Text:
        computed, elapsed = task.fields["computed"], task.elapsed or 0.0
        if not computed or not elapsed:
            return Text("first shard at work")
        rate = computed / elapsed
        return Text(f"{rate:.3g} images/s, {duration(((task.total or 0) - task.completed) / rate)} left")


class ProgressDisplay(Listener):
    """Done, failed, left, images/s, time left, workers; a plain line every half minute where stderr is no terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._todo = 0
        self._kept = self._computed = Tally()
        self._stage = ""
        self._started = self._logged = monotonic()

    def begin(self, stage: str, todo: int, kept: Tally) -> None:
        self._stage, self._todo, self._kept, self._computed = stage, todo, kept, Tally()
        self._started = self._logged = monotonic()
        if not todo:
            return
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[counts]}"),
                _Rate(),
                TextColumn("{task.fields[workers]} workers"),
            )
            self._progress = Progress(*columns, console=self._console)
            self._task = self._progress.add_task(
                stage, total=kept.images + todo, completed=kept.images, counts=self._counts(), computed=0, workers=0
            )
            self._progress.start()
        else:
            failed = kept.failed + kept.upstream
            self.note(f"{stage}: {todo} images to compute, {kept.done} done, {failed} failed")

    def advance(self, computed: Tally, workers: int) -> None:
        self._computed += computed
        images = self._computed.images
        if self._progress is not None:
            self._progress.update(
                self._task, advance=computed.images, counts=self._counts(), computed=images, workers=workers
            )
        elif monotonic() - self._logged > _LOG_SECONDS:
            self._logged = monotonic()
            rate = images / max(1e-9, self._logged - self._started)
            left = duration((self._todo - images) / rate)
            self.note(f"{self._stage}: {self._counts()}, {rate:.3g} images/s, {left} left, {workers} workers")

    def note(self, message: str) -> None:
        self._console.print(message, markup=False)

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _counts(self) -> str:
        found = self._kept + self._computed
        return f"{found.done} done, {found.failed + found.upstream} failed, {self._todo - self._computed.images} left"


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
    return "\n".join([line, *reasons, *names, *cure])
