"""Checkpoints of a run: written whole or not at all, read without unpickling anything but plain values and tensors."""

import pickle
import shutil
import uuid
from pathlib import Path
from typing import Any

import torch

from data.errors import InputError
from data.whole_file import PARTIAL, settle, whole_file

FOLDER = "checkpoints"
LAST = "last.pt"

Checkpoint = dict[str, Any]
"""model, optimizer: state dicts; step: updates done; generators: states of torch's global generators; config: plain
values of the complete configuration; class_names: list of str; stores: what was trained on; labels: with which labels
(older checkpoints lack it)."""


def save_checkpoint(run: Path, checkpoint: Checkpoint) -> Path:
    """Write `checkpoints/step-NNNNNN.pt` and let `checkpoints/last.pt` be the same file.

    Each name appears by a rename, after its bytes have reached the disk: a killed run leaves the previous file.
    Raises InputError if the disk refuses.
    """
    path = run / FOLDER / f"step-{checkpoint['step']:06d}.pt"
    try:
        with whole_file(path) as file:
            torch.save(checkpoint, file)
        _point_last_to(path)
    except OSError as error:
        raise InputError(f"{path}: can not be written ({error}); make room, then continue with --resume") from error
    return path


def latest_checkpoint(run: Path) -> Path | None:
    """The run's last complete checkpoint, or None."""
    path = run / FOLDER / LAST
    return path if path.is_file() else None


def load_checkpoint(source: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
    """The checkpoint of a run folder (its last one) or of a checkpoint file.

    Raises InputError that names the file if there is none, if it is damaged, or if it holds other things.
    """
    path = Path(source)
    if path.is_dir():
        last = latest_checkpoint(path)
        if last is None:
            raise InputError(f"{path}: holds no {FOLDER}/{LAST}; give the run folder of a training that saved one")
        path = last
    try:
        checkpoint = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: does not exist; give a run folder or a checkpoint file") from error
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise InputError(f"{path}: is not a readable checkpoint ({_first_line(error)})") from error
    missing = {"model", "step", "config", "class_names"} - set(checkpoint if isinstance(checkpoint, dict) else ())
    if missing:
        raise InputError(f"{path}: is not a checkpoint of this trainer, it lacks {', '.join(sorted(missing))}")
    return checkpoint


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _point_last_to(path: Path) -> None:
    """Make last.pt a second name of `path` (a copy where the file system has no hard links), then settle the folder."""
    last = path.with_name(LAST)
    temporary = path.with_name(f"{LAST}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        temporary.hardlink_to(path)
    except OSError:
        with path.open("rb") as source, whole_file(last) as copy:
            shutil.copyfileobj(source, copy)
        return
    temporary.replace(last)
    settle(path.parent)
