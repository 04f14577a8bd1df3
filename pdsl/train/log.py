"""What a run tells: everything in log.jsonl, curves and pictures for TensorBoard, the gist on the terminal."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from PIL import Image

from pdsl.figures import Figures
from pdsl.run.names import LOG, TENSORBOARD
from pdsl.train.meters import Averages
from pdsl.train.terminal import Terminal

JPEG_QUALITY = 85
"""Of the pictures for TensorBoard; as PNG photographs would take ten times the room."""


class RunLog:
    """Writer of a run's log, on the first process only.

    One entry: {"step", "loss", "terms": {name: value}, "lr", "grad_norm", "images_per_second", "dropped_foreground",
    "blocked_steps", "blocked": [{"step", "image_id", "terms"}]}; losses are averages over the images since the entry
    before, dropped_foreground counts the foreground proposals beyond the mask branch's capacity. Where the model was
    evaluated, "validation" holds its figures.
    """

    def __init__(self, run: Path, terminal: Terminal, start: int):
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self.file = (run / LOG).open("a", buffering=1)
        self.curves = SummaryWriter(run / TENSORBOARD, purge_step=start + 1)
        self.terminal = terminal

    def __enter__(self) -> "RunLog":
        self.terminal.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminal.progress.stop()
        self.curves.close()
        self.file.close()

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
        self.terminal.losses(step, averages.terms, rate)
        if figures is not None:
            self.terminal.figures(step, figures)
        say = self.terminal.say
        for image in averages.blocked:
            say(f"step {image.step}: update left out, {', '.join(image.terms)} not finite for {image.image_id}")
        if averages.n_blocked and not averages.blocked:
            say(f"step {step}: {averages.n_blocked} updates left out, their gradients were not finite")

    def write_figures(self, step: int, figures: Figures) -> None:
        """An entry of figures alone, after update `step`: of an evaluation that was left out before."""
        self._put({"step": step, "terms": {}}, {}, figures)
        self.terminal.figures(step, figures)

    def write_pictures(self, step: int, pictures: Mapping[str, Image.Image]) -> None:
        """Pictures by name, as the model is after update `step`, for TensorBoard."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        assert self.curves.file_writer is not None  # only a closed one has none
        for name, picture in pictures.items():
            encoded = io.BytesIO()
            picture.save(encoded, "JPEG", quality=JPEG_QUALITY)
            width, height = picture.size
            shown = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded.getvalue())
            value = Summary.Value(tag=f"pictures/{name}", image=shown)
            self.curves.file_writer.add_summary(Summary(value=[value]), step)
        self.curves.flush()

    def _put(self, entry: Mapping[str, Any], scalars: Mapping[str, float], figures: Figures | None) -> None:
        """A line of log.jsonl, and its scalars for TensorBoard."""
        measured = {} if figures is None else {"validation": figures}
        self.file.write(json.dumps({**entry, **measured}) + "\n")
        for name, value in {**scalars, **_flat(figures or {})}.items():
            self.curves.add_scalar(name, value, entry["step"])


def _flat(figures: Figures) -> dict[str, float]:
    """Scalars for TensorBoard: "validation/mask_AP50" and so on, those that are defined."""
    return {
        f"validation/{kind}_{name}": value
        for kind, values in figures.items()
        if isinstance(values, dict)
        for name, value in values.items()
        if value is not None
    }
