"""A run folder: the names of its files, its configuration and its log. Created once, continued only when asked."""

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.parameters import nest, read_mapping, replace, to_plain
from data.regular import read_regular
from data.whole_file import PARTIAL, write_whole
from pdsl.config.load import config_from_plain, load_config, save_config
from pdsl.config.tree import Config
from pdsl.run.lock import LOCK
from pdsl.run.names import CHECKPOINTS, CONFIG, LOG

CHANGEABLE = frozenset(
    {
        "steps",
        "checkpoint_every",
        "checkpoints_kept",
        "log_every",
        "pictures",
        "device",
        "threads",
        "data.stores",
        "data.images",
        "data.loaders",
        "data.together",
        "data.copies",
        "data.copies_gb",
    }
    | {"validation.every", "validation.store", "validation.images"}
)
"""What a resumed run may set anew. None of it changes what is learnt: a moved store is recognised by its contents."""


def refuse_existing(run: Path) -> None:
    """Raise InputError if something lies at `run` already."""
    if run.exists() and (not run.is_dir() or any(path.name != LOCK for path in run.iterdir())):
        raise InputError(f"{run}: exists already; continue it with --resume, or give --out another folder")


def open_run(run: Path, config: Config, start: int) -> None:
    """Make the folder, or take it up again after `start` updates, and write the complete configuration."""
    run.mkdir(parents=True, exist_ok=True)
    remove_partial(run)
    save_config(config, run / CONFIG)
    _truncate_log(run / LOG, start)


def remove_partial(run: Path) -> None:
    """Remove what a killed process left half written in a run folder."""
    for path in (*run.glob(f"*{PARTIAL}"), *(run / CHECKPOINTS).glob(f"*{PARTIAL}")):
        path.unlink(missing_ok=True)


def read_run_config(run: Path) -> Config:
    """The configuration of an existing run. Raises InputError if the folder holds none."""
    path = run / CONFIG
    if not path.is_file():
        raise InputError(f"{path}: can not be read; --resume takes the folder of an earlier run")
    return config_from_plain(read_mapping(path, str(path), "of the run's configuration"), path)


def resumed_config(run: Path, changes: Mapping[str, Any]) -> Config:
    """The run's own configuration with `changes` (nested plain values) put in, as far as they may change.

    Raises InputError that names a field which would make the resumed run another run.
    """
    before = read_run_config(run)
    after = replace(before, changes)
    for field, old, new in _differences(to_plain(before), to_plain(after)):
        if field not in CHANGEABLE:
            raise InputError(
                f"{field}: the run {run} was started with {old!r}, not {new!r}; --resume continues it as it was. "
                f"To train with the new value start another run (with --init {run} from these weights)"
            )
    return after


def training_config(run: Path, file: str | None, changes: Iterable[tuple[str, Any]], *, resume: bool) -> Config:
    """What to train `run` with: with `resume` its own configuration if there is one, else that of YAML `file`.

    changes: (dotted field, value) put in. Raises InputError, also where neither is given.
    """
    if resume and (run / CONFIG).exists():
        return resumed_config(run, nest(changes))
    if file is None:
        raise InputError("--config: name a YAML file, for example configs/voc-paper.yaml")
    return load_config(file, changes)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Entries of a log.jsonl, without lines that a killed process left half written; [] if there is no log."""
    if not path.exists():
        return []
    entries = []
    for line in read_regular(path).decode(errors="replace").splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, dict) and isinstance(entry.get("step"), int):
                entries.append(entry)
    return entries


def _truncate_log(path: Path, step: int) -> None:
    """Drop log entries after `step`, and a last line that a killed process left half written."""
    if not path.exists():
        return
    kept = [entry for entry in read_log(path) if entry["step"] <= step]
    write_whole(path, "".join(json.dumps(entry) + "\n" for entry in kept))


def _differences(before: Any, after: Any, field: str = "") -> list[tuple[str, Any, Any]]:
    """(dotted field, old, new) wherever two trees of plain values differ."""
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        pairs = [(f"{field}.{key}" if field else key, key) for key in before]
        return [difference for name, key in pairs for difference in _differences(before[key], after[key], name)]
    return [] if before == after else [(field, before, after)]
