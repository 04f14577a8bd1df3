"""Checkpoints of a run: written whole or not at all, read without unpickling anything but plain values and tensors."""

import errno
import math
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from data.errors import InputError, some
from data.whole_file import PARTIAL, settle, whole_file
from pdsl.run.names import CHECKPOINTS
from pdsl.run.seal import DamagedFileError, check_seal, write_sealed

FOLDER = CHECKPOINTS
LAST = "last.pt"
NEEDED: dict[str, type] = {"model": dict, "step": int, "config": dict, "class_names": list}
"""What a checkpoint holds at least, and its types."""
FURTHER: dict[str, type] = {"optimizer": dict, "generators": dict, "stores": list, "proposals": dict, "decoding": dict}
"""Types of what may be missing or None."""

Checkpoint = dict[str, Any]
"""model, optimizer: state dicts; step: updates done; generators: states of torch's global generators; config: plain
values of the complete configuration; class_names: list of str; stores: what was trained on; labels: with which labels;
proposals: how the proposals were made; decoding: how images were (older checkpoints lack the last three)."""


def save_checkpoint(run: Path, checkpoint: Checkpoint, kept: int = 0) -> Path:
    """Write `checkpoints/step-NNNNNN.pt` and let `checkpoints/last.pt` be the same file; older ones but `kept` go.

    Each name appears by a rename, after its bytes have reached the disk: a killed run leaves the previous file.
    Raises InputError if the disk refuses, or for values that are not finite, which are never saved.
    """
    where = f"{run}: update {checkpoint['step']}"
    refuse_non_finite(checkpoint["model"], where)
    refuse_non_finite(checkpoint.get("optimizer", {}), where)
    path = run / FOLDER / f"step-{checkpoint['step']:06d}.pt"
    try:
        with whole_file(path) as file:
            write_sealed(file, lambda stream: torch.save(checkpoint, stream))
        _point_last_to(path)
        _remove_older(run, checkpoint["step"], kept)
    except OSError as error:
        raise InputError(f"{path}: can not be written ({error}); make room, then continue with --resume") from error
    return path


def latest_checkpoint(run: Path) -> Path | None:
    """The run's last checkpoint, or None."""
    path = run / FOLDER / LAST
    return path if path.is_file() else None


def resumable_checkpoint(run: Path, tell: Callable[[str], None]) -> Path | None:
    """The newest whole checkpoint of a run, None where it saved none; `tell` hears what was passed over.

    Raises InputError where there are checkpoints and none is whole: then nothing is begun anew.
    """
    steps = _steps(run)
    last = latest_checkpoint(run)
    candidates = [last, *steps] if last else steps
    for path in candidates:
        try:
            check_whole(path)
        except InputError as error:
            tell(f"{error}; looking for an older one")
            continue
        if path != last:
            tell(f"{run}: going on from {path.name}, the newest checkpoint that is whole")
        return path
    if candidates:
        raise InputError(f"{run / FOLDER}: holds no whole checkpoint; restore one, or train anew in another folder")
    return None


OF_THE_FILE = (errno.EIO, errno.ENXIO, errno.EISDIR, errno.ELOOP)
"""Errors of the system that say that a file is no checkpoint; others say nothing of it."""


def check_whole(path: Path) -> None:
    """Read a checkpoint against the checksum that it holds. Raises InputError if it is damaged or missing, OSError if
    the system refuses to read it."""
    try:
        check_seal(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: does not exist; give a run folder or a checkpoint file") from error
    except (OSError, DamagedFileError) as error:
        if isinstance(error, OSError) and error.errno not in OF_THE_FILE:
            raise  # no permission, too many open files: that says nothing of the file
        raise InputError(f"{path}: is not a readable checkpoint ({_first_line(error)}){_others(path)}") from error


def _others(path: Path) -> str:
    """Where to turn with a checkpoint that is damaged or missing."""
    others = [other.name for other in _steps(path.parent.parent) if other != path]
    return f"; {path.parent} also holds {some(others)}" if others and path.parent.name == FOLDER else ""


def load_checkpoint(source: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
    """The checkpoint of a run folder (its last one) or of a checkpoint file.

    Raises InputError that names the file if there is none, if it is damaged, or if it holds other things.
    """
    path = Path(source)
    if path.is_dir():
        last = latest_checkpoint(path)
        if last is None:
            cure = _others(path / FOLDER / LAST) or "; give the run folder of a training that saved one"
            raise InputError(f"{path}: holds no {FOLDER}/{LAST}{cure}")
        path = last
    check_whole(path)
    return read_checkpoint(path, device)


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """A checkpoint file that `check_whole` has passed. Raises InputError that names it if it holds other things."""
    try:
        checkpoint = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        raise InputError(f"{path}: is not a readable checkpoint ({_first_line(error)})") from error
    if not isinstance(checkpoint, dict):
        raise InputError(f"{path}: is not a checkpoint of this trainer but holds {type(checkpoint).__name__}")
    missing = NEEDED.keys() - checkpoint.keys()
    if missing:
        raise InputError(f"{path}: is not a checkpoint of this trainer, it lacks {', '.join(sorted(missing))}")
    for name, kind in {**NEEDED, **FURTHER}.items():
        if not isinstance(checkpoint.get(name, kind()), kind if name in NEEDED else kind | None):
            raise InputError(f"{path}: its '{name}' is no {kind.__name__}; give a checkpoint of this trainer")
    refuse_non_finite(checkpoint["model"], str(path))
    return checkpoint


def refuse_non_finite(tree: Mapping[str, Any], where: str) -> None:
    """Raises InputError, beginning with `where`, for tensors that are infinite or NaN: such weights detect nothing."""
    for name, value in _tensors(tree):
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(f"{where}: the weights '{name}' are not finite; lower optimizer.lr and train anew")


def _tensors(tree: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """(dotted name, tensor) of nested mappings."""
    if isinstance(tree, torch.Tensor):
        yield name, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _tensors(value, f"{name}.{key}" if name else str(key))


def _remove_older(run: Path, step: int, kept: int) -> None:
    """Of the checkpoints up to `step` all but the newest `kept`; 0 keeps all. last.pt is a name of its own."""
    for path in _steps(run, up_to=step)[kept:] if kept else ():
        path.unlink(missing_ok=True)


def _steps(run: Path, up_to: float = math.inf) -> list[Path]:
    """The run's step-*.pt up to an update, newest first."""
    found = {}
    for path in (run / FOLDER).glob("step-*.pt"):
        number = path.stem.removeprefix("step-")
        if number.isdecimal() and int(number) <= up_to:
            found[int(number)] = path
    return [found[step] for step in sorted(found, reverse=True)]


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
    try:
        temporary.replace(last)
    except OSError:  # what bears the name is a folder
        temporary.unlink()
        raise
    settle(path.parent)
