"""`train`: learn from precomputed stores into a run folder."""

import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data.catalog import absolute_spec
from data.files import absolute
from data.heap import keep_memory
from data.parameters import parse_assignment
from pdsl.config.tree import Config
from pdsl.evaluate.validation import build_validator
from pdsl.report.training_pictures import build_pictures
from pdsl.run.checkpoint import FOLDER, LAST
from pdsl.run.folder import training_config
from pdsl.run.names import LOG, TENSORBOARD
from pdsl.train.loop import train
from store.store import open_store


def run(
    *,
    config: str | None,
    stores: list[str],
    out: str,
    resume: bool,
    init: str | None,
    overrides: list[str],
    data: str | None,
    split: str | None = None,
    validation_store: str | None = None,
    settings: Iterable[tuple[str, Any]] = (),
    in_workspace: bool = False,
) -> int:
    """Train, or with `resume` continue what lies in `out` (begin if nothing does). Returns the exit status.

    config: YAML file; a resumed run takes its own config.yaml instead. overrides: "key=value". data: SPEC where the
    images lie now. split: whose images are learnt from, where the store holds more. validation_store: default of
    `validation.store`; settings: (key, value), a workspace's options of
    training; the overrides go over both. in_workspace: whether the commands that come next find data and stores by
    themselves.
    Status 0 after the last update, 128 + signal if SIGINT or SIGTERM ended the run after a checkpoint.
    """
    keep_memory()
    below = _given({"validation.store": validation_store})
    options = _given({"data.stores": stores, "init": init, "data.images": data, "data.split": split})
    typed = [*below, *settings, *(parse_assignment(text) for text in overrides), *options]
    changes = [(key, _lasting(key, value)) for key, value in typed]
    folder = Path(out)
    settled = training_config(folder, config, changes, resume=resume)
    outcome = train(settled, folder, resume=resume, validation=build_validator, pictures=build_pictures)
    if int(os.environ.get("RANK", "0")) == 0:
        if outcome.signal:
            again = f"pdsl train --out {shlex.quote(out)} --resume"
            print(f"stopped after update {outcome.step}; continue with: {again}", file=sys.stderr)
        else:
            print(_closing(out, outcome.step, settled, in_workspace), file=sys.stderr)
    return outcome.exit_status


def _closing(out: str, step: int, config: Config, in_workspace: bool) -> str:
    """Where everything lies after the last update, and what comes next."""
    run = shlex.quote(out)
    evaluation = f"pdsl eval --run {run}{'' if in_workspace else _evaluation_set(config)}"
    return "\n".join(
        [
            f"done: {step} updates; all of it lies in {out}",
            f"  model   {Path(out) / FOLDER / LAST}",
            f"  log     {Path(out) / LOG}",
            f"  curves, pictures: tensorboard --logdir {shlex.quote(str(Path(out) / TENSORBOARD))}",
            "next",
            f"  figures, report:  {evaluation}",
            f"  on your images:   pdsl predict --run {run} IMAGE...",
        ]
    )


def _evaluation_set(config: Config) -> str:
    """The options of `eval` that name images and proposals: of what the run was evaluated on, if it was."""
    store = config.validation.store
    if store is None or not config.validation.every:
        return " --data SPEC --split SPLIT --store URL"
    attributes = open_store(store).attributes
    values = {
        "data": config.validation.images or attributes["spec"],
        "split": config.validation.split or attributes["split"],
    }
    values["store"] = store
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in values.items())


def _given(values: dict[str, Any]) -> list[tuple[str, Any]]:
    """Of configuration values those that somebody gave."""
    return [(key, value) for key, value in values.items() if value]


def _lasting(key: str, value: Any) -> Any:
    """A configuration value that means the same in every folder: the run may be continued from another."""
    if key == "data.stores" and isinstance(value, list):
        return [absolute(str(store)) for store in value]
    if key in ("validation.store", "features.cache") and isinstance(value, str):
        return absolute(value)
    if key == "model.backbone.weights" and isinstance(value, str) and Path(value).is_file():
        return absolute(value)
    if key in ("data.images", "validation.images") and isinstance(value, str):
        return absolute_spec(value)
    return value
