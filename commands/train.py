"""`train`: learn from precomputed stores into a run folder."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data.catalog import absolute_spec
from data.files import absolute
from data.parameters import parse_assignment
from pdsl.evaluate.validation import build_validator
from pdsl.run.folder import training_config
from pdsl.train.loop import train


def run(
    *,
    config: str | None,
    stores: list[str],
    out: str,
    resume: bool,
    init: str | None,
    overrides: list[str],
    data: str | None,
    validation_store: str | None = None,
    settings: Iterable[tuple[str, Any]] = (),
) -> int:
    """Train, or with `resume` continue what lies in `out` (begin if nothing does). Returns the exit status.

    config: YAML file; a resumed run takes its own config.yaml instead. overrides: "key=value". data: SPEC where the
    images lie now. validation_store: default of `validation.store`; settings: (key, value), a workspace's options of
    training; the overrides go over both.
    Status 0 after the last update, 128 + signal if SIGINT or SIGTERM ended the run after a checkpoint.
    """
    below = [("validation.store", validation_store)] if validation_store else []
    typed = [*below, *settings, *(parse_assignment(text) for text in overrides), *_options(stores, init, data)]
    changes = [(key, _lasting(key, value)) for key, value in typed]
    folder = Path(out)
    settled = training_config(folder, config, changes, resume=resume)
    outcome = train(settled, folder, resume=resume, validation=build_validator)
    if outcome.signal and int(os.environ.get("RANK", "0")) == 0:
        print(f"stopped after update {outcome.step}; continue with: train --out {out} --resume", file=sys.stderr)
    return outcome.exit_status


def _options(stores: list[str], init: str | None, data: str | None) -> list[tuple[str, Any]]:
    """The command line's own options as configuration values."""
    values: dict[str, Any] = {"data.stores": stores, "init": init, "data.images": data}
    return [(key, value) for key, value in values.items() if value]


def _lasting(key: str, value: Any) -> Any:
    """A configuration value that means the same in every folder: the run may be continued from another."""
    if key == "data.stores" and isinstance(value, list):
        return [absolute(str(store)) for store in value]
    if key == "validation.store" and isinstance(value, str):
        return absolute(value)
    if key == "model.backbone.weights" and isinstance(value, str) and Path(value).is_file():
        return absolute(value)
    if key in ("data.images", "validation.images") and isinstance(value, str):
        return absolute_spec(value)
    return value
