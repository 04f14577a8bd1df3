"""`train`: learn from precomputed stores into a run folder."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import InputError
from data.parameters import nest, parse_assignment

if TYPE_CHECKING:
    from pdsl.config.tree import Config
    from pdsl.evaluate.validation import Validator


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
) -> int:
    """Train, or with `resume` continue what lies in `out` (begin if nothing does). Returns the exit status.

    config: YAML file; a resumed run takes its own config.yaml instead. overrides: "key=value". data: SPEC where the
    images lie now. validation_store: default of `validation.store`, for the overrides to override.
    Status 0 after the last update, 128 + signal if SIGINT or SIGTERM ended the run after a checkpoint.
    """
    from pdsl.environment import check_torchvision

    check_torchvision()
    from pdsl.config.load import load_config
    from pdsl.run.folder import CONFIG, resumed_config
    from pdsl.train.loop import train

    below = [("validation.store", validation_store)] if validation_store else []
    changes = [*below, *(parse_assignment(text) for text in overrides), *_options(stores, init, data)]
    folder = Path(out)
    if resume and (folder / CONFIG).exists():
        settled = resumed_config(folder, nest(changes))
    elif config is None:
        raise InputError("--config: name a YAML file, for example configs/voc-paper.yaml")
    else:
        settled = load_config(config, changes)
    outcome = train(settled, folder, resume=resume, validation=_validator)
    if not outcome.signal:
        return 0
    if int(os.environ.get("RANK", "0")) == 0:
        print(f"stopped after update {outcome.step}; continue with: train --out {out} --resume", file=sys.stderr)
    return 128 + outcome.signal


def _options(stores: list[str], init: str | None, data: str | None) -> list[tuple[str, Any]]:
    """The command line's own options as configuration values."""
    values: dict[str, Any] = {"data.stores": stores, "init": init, "data.images": data}
    return [(key, value) for key, value in values.items() if value]


def _validator(config: "Config", class_names: tuple[str, ...]) -> "Validator":
    """What evaluates the model while it trains. Raises InputError for a store or truth that can not be read."""
    from commands.evaluate import read_task
    from pdsl.evaluate.validation import Validator
    from store.store import open_store

    wanted = config.validation
    stored = open_store(str(wanted.store)).attributes
    task = read_task(wanted.images or stored["spec"], stored["split"], wanted.store)
    return Validator(config, class_names, task.images, task.truth, task.proposals())
