"""What a run tells: log.jsonl, TensorBoard scalars, and a progress line with rate, time left and losses."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pdsl.figures import Figures, percent
from pdsl.run.names import LOG, TENSORBOARD
from pdsl.train.meters import Averages

SILENCE_SECONDS = 30.0
"""A long evaluation is told of so often where there is no progress line."""


class RunLog:
    """Writer of a run's log, on the first process only.

    One entry: {"step", "loss", "terms": {name: value}, "lr", "grad_norm", "images_per_second", "dropped_foreground",
    "blocked_steps", "blocked": [{"step", "image_id", "terms"}]}; losses are averages over the images since the entry
    before, dropped_foreground counts the foreground proposals beyond the mask branch's capacity. Where the model was
    evaluated, "validation" holds its figures.
    """

    def __init__(self, run: Path, start: int, steps: int):
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self.file = (run / LOG).open("a", buffering=1)
        self.scalars = SummaryWriter(run / TENSORBOARD, purge_step=start + 1)
        self.console = Console(file=sys.stderr, emoji=False)
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
        self.start, self.steps = start, steps
        self.began = self.spoke = time.monotonic()

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

    def validating(self, looked_at: int, images: int) -> None:
        """Tell how far an evaluation is."""
        note = f"evaluation: image {looked_at} of {images}"
        self.progress.update(self.task, note=note)
        if not self.console.is_terminal and time.monotonic() - self.spoke > SILENCE_SECONDS:
            self.say(note)

    def say(self, text: str) -> None:
        """A line for the user, above the progress line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
        self.spoke = time.monotonic()

    def write(
        self, step: int, averages: Averages, *, lr: float, rate: float, dropped: int, figures: Figures | None = None
    ) -> None:
        """One entry after update `step` (1-based)."""
        loss = sum(averages.terms.values())
        entry: dict[str, Any] = {
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
        scalars = {"loss": loss, "lr": lr, "grad_norm": averages.grad_norm, "images_per_second": rate}
        scalars |= {f"terms/{name}": value for name, value in averages.terms.items()}
        self._put(entry, scalars, figures)
        self._tell(step, loss, averages.terms, rate)
        if figures is not None:
            self._tell_figures(step, figures)
        for image in averages.blocked:
            self.say(f"step {image.step}: update left out, {', '.join(image.terms)} not finite for {image.image_id}")
        if averages.n_blocked and not averages.blocked:
            self.say(f"step {step}: {averages.n_blocked} updates left out, their gradients were not finite")

    def write_figures(self, step: int, figures: Figures) -> None:
        """An entry of figures alone, after update `step`: of an evaluation that was left out before."""
        self._put({"step": step, "terms": {}}, {}, figures)
        self._tell_figures(step, figures)

    def _put(self, entry: Mapping[str, Any], scalars: Mapping[str, float], figures: Figures | None) -> None:
        """A line of log.jsonl, and its scalars for TensorBoard."""
        measured = {} if figures is None else {"validation": figures}
        self.file.write(json.dumps({**entry, **measured}) + "\n")
        for name, value in {**scalars, **_flat(figures or {})}.items():
            self.scalars.add_scalar(name, value, entry["step"])

    def _tell(self, step: int, loss: float, terms: Mapping[str, float], rate: float) -> None:
        detail = " ".join(f"{name} {value:.3g}" for name, value in terms.items())
        self.progress.update(self.task, completed=step, note=f"{rate:.1f} images/s, loss {loss:.3g}")
        if not self.console.is_terminal:
            left = (self.steps - step) * (time.monotonic() - self.began) / max(1, step - self.start)
            self.say(f"step {step}/{self.steps}  {rate:.1f} images/s  {left:.0f} s left  loss {loss:.4g} ({detail})")

    def _tell_figures(self, step: int, figures: Figures) -> None:
        parts = [
            f"{kind} {name} {percent(figures[kind][name])}"
            for kind in ("mask", "box")
            for name in ("AP", "AP50", "AP75")
        ]
        unseen = f", {figures['failed']} of them could not be looked at" if figures["failed"] else ""
        self.say(f"step {step}: {', '.join(parts)} ({figures['images']} images{unseen})")


def _flat(figures: Figures) -> dict[str, float]:
    """Scalars for TensorBoard: "validation/mask_AP50" and so on, those that are defined."""
    return {
        f"validation/{kind}_{name}": value
        for kind, values in figures.items()
        if isinstance(values, dict)
        for name, value in values.items()
        if value is not None
    }
