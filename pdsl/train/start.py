"""How a training begins: the model, as its weights or a checkpoint have it, and the update to go on from."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from data.errors import InputError
from data.loudness import note_console
from data.parameters import replace
from pdsl.cache import CacheReader
from pdsl.classes import require_same_classes
from pdsl.config.load import config_from_plain
from pdsl.config.tree import Config
from pdsl.figures import figures_due
from pdsl.model.build import build_model, equip_backbone
from pdsl.model.pdsl import PDSL
from pdsl.model.weight_sources import without_weights
from pdsl.model.weights import load_backbone_weights
from pdsl.run.checkpoint import Checkpoint, load_checkpoint, read_checkpoint, resumable_checkpoint
from pdsl.run.folder import read_log
from pdsl.run.names import LOG
from pdsl.train.distributed import World
from pdsl.train.optimizer import build_optimizer


@dataclass(frozen=True)
class Start:
    """Where a training begins, the same in every process.

    model: on the device, in training mode. config: with what `freeze: auto` and `init` came to. step: updates done.
    owed: whether an evaluation was due at `step` and left out.
    """

    model: PDSL
    optimizer: torch.optim.Optimizer
    config: Config
    step: int
    owed: bool


def prepare(config: Config, run: Path, cache: CacheReader, world: World, *, resume: bool) -> Start:
    """A new model, or with `resume` that of the run's newest whole checkpoint, if it has one.

    Raises InputError for weights or a checkpoint that can not be read or belong to another run.
    """
    found = resumable_checkpoint(run, _teller(world)) if resume else None
    model, config = _build(config, cache, with_weights=found is None, tell=world.is_first)
    model = model.to(world.device)
    optimizer = build_optimizer(model.train(), config.optimizer)
    checkpoint = read_checkpoint(found, world.device) if found else None
    step = _restore(checkpoint, model, optimizer, cache) if checkpoint else 0
    owed = checkpoint is not None and world.any(_owes_figures(checkpoint, run))
    world.broadcast(model.state_dict().values())
    equip_backbone(model, config, begin_cache=True)
    return Start(model, optimizer, config, step, owed)


def _teller(world: World) -> Callable[[str], None]:
    """Tells the user, from the first process only."""
    return (lambda text: print(text, file=sys.stderr)) if world.is_first else (lambda text: None)


def _build(config: Config, cache: CacheReader, *, with_weights: bool, tell: bool) -> tuple[PDSL, Config]:
    """The model; with the weights of `init`, or with those of the backbone's file, of which it can tell.

    And the configuration with what `freeze: auto` came to; for `init` what that run froze, and the weights it began
    with.
    """
    weights = config.model.backbone.weights
    if with_weights and not config.init and not weights and config.model.backbone.name != "tiny":
        raise InputError(without_weights(config.model.backbone.name))
    model = build_model(config.model, len(cache.class_names), config.seed)
    if with_weights and config.init:
        checkpoint = load_checkpoint(config.init)
        require_same_classes(checkpoint["class_names"], cache.class_names, config.init)
        try:
            model.load_state_dict(checkpoint["model"])
        except RuntimeError as error:
            raise InputError(
                f"{config.init}: its weights are of another model than `model:` describes ({error})"
            ) from error
        if config.model.backbone.freeze == "auto":
            began = config_from_plain(checkpoint["config"], config.init).model.backbone
            model.backbone.freeze(began.frozen_at_first)
            weights = config.model.backbone.begins_with or began.weights
    elif with_weights and (source := config.model.backbone.begins_with):
        report = load_backbone_weights(model, source)
        if tell:
            note_console().print(f"{report}; frozen: {model.backbone.frozen}")
    settled = {"freeze": model.backbone.frozen, "weights": weights}
    return model, replace(config, {"model": {"backbone": settled}})


def _restore(checkpoint: Checkpoint, model: PDSL, optimizer: torch.optim.Optimizer, cache: CacheReader) -> int:
    """Put everything back as it was at the checkpoint; the number of updates done."""
    require_same_classes(checkpoint["class_names"], cache.class_names, "--resume")
    if checkpoint["stores"] != cache.digests():
        raise InputError(
            "--store: not what the run was trained on (other images or other stages); give the same stores"
        )
    if "labels" in checkpoint and checkpoint["labels"] != cache.label_digest():
        raise InputError(
            "--resume: the labels of the stores were changed since this run began, so it can not be continued exactly; "
            "train another run (with --init from these weights)"
        )
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    torch.set_rng_state(checkpoint["generators"]["cpu"].cpu())
    return int(checkpoint["step"])


def _owes_figures(checkpoint: Checkpoint, run: Path) -> bool:
    """Whether an evaluation was due at the checkpoint and left out, because a signal had come."""
    config, step = checkpoint["config"], checkpoint["step"]
    if not figures_due(step, config["steps"], config.get("validation", {}).get("every", 0)):
        return False
    return not any(entry["step"] == step and "validation" in entry for entry in read_log(run / LOG))
