"""What a run tells: log.jsonl, TensorBoard scalars, and a progress line with rate, time left and losses."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pdsl.train.meters import Averages
from pdsl.train.run_folder import LOG

TENSORBOARD = "tensorboard"


class RunLog:
    """Writer of a run's log, on the first process only.

    One entry: {"step", "loss", "terms": {name: value}, "lr", "grad_norm", "images_per_second", "dropped_foreground",
    "blocked_steps", "blocked": [{"step", "image_id", "terms"}]}; losses are averages over the images since the entry
    before, dropped_foreground counts the foreground proposals beyond the mask branch's capacity.
    """

    def __init__(self, run: Path, start: int, steps: int):
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self.file = (run / LOG).open("a", buffering=1)
        self.scalars = SummaryWriter(run / TENSORBOARD, purge_step=start + 1)
        self.console = Console(file=sys.stderr)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task("train", total=steps, completed=start, note="")
        self.start, self.steps, self.began = start, steps, time.monotonic()

    def __enter__(self) -> "RunLog":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
        self.scalars.close()
        self.file.close()

    def advance(self, step: int) -> None:
        """Move the progress line."""
        self.progress.update(self.task, completed=step)

    def say(self, text: str) -> None:
        """A line for the user, above the progress line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def write(self, step: int, averages: Averages, *, lr: float, rate: float, dropped: int) -> None:
        """One entry after update `step` (1-based)."""
        loss = sum(averages.terms.values())
        entry = {
            "step": step,
            "loss": loss,
            "terms": averages.terms,
            "lr": lr,
            "grad_norm": averages.grad_norm,
            "images_per_second": round(rate, 3),
            "dropped_foreground": dropped,
            "blocked_steps": averages.n_blocked,
            "blocked": [asdict(image) for image in averages.blocked],
        }
        self.file.write(json.dumps(entry) + "\n")
        scalars = {"loss": loss, "lr": lr, "grad_norm": averages.grad_norm, "images_per_second": rate}
        for name, value in (scalars | {f"terms/{name}": value for name, value in averages.terms.items()}).items():
            self.scalars.add_scalar(name, value, step)
        self._tell(step, loss, averages.terms, rate)
        for image in averages.blocked:
            self.say(f"step {image.step}: update left out, {', '.join(image.terms)} not finite for {image.image_id}")
        if averages.n_blocked and not averages.blocked:
            self.say(f"step {step}: {averages.n_blocked} updates left out, their gradients were not finite")

    def _tell(self, step: int, loss: float, terms: Mapping[str, float], rate: float) -> None:
        detail = " ".join(f"{name} {value:.3g}" for name, value in terms.items())
        self.progress.update(self.task, completed=step, note=f"{rate:.1f} images/s, loss {loss:.3g}")
        if not self.console.is_terminal:
            left = (self.steps - step) * (time.monotonic() - self.began) / max(1, step - self.start)
            self.say(f"step {step}/{self.steps}  {rate:.1f} images/s  {left:.0f} s left  loss {loss:.4g} ({detail})")
