"""The model of a run folder, ready to look at images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data.errors import InputError
from data.records import Decoding
from pdsl.config.load import config_from_plain
from pdsl.config.tree import Config
from pdsl.model.build import build_model
from pdsl.model.pdsl import PDSL
from pdsl.model.weights import load_backbone_weights
from pdsl.run.checkpoint import load_checkpoint


@dataclass(frozen=True)
class TrainedModel:
    """model: in eval mode, on its device. step: updates it has seen. class_names: its C classes.

    proposals: how the proposals it was trained with were made ({"params", "source_path"}); decoding: how its images
    were decoded; None if it does not say.
    """

    model: PDSL
    config: Config
    class_names: tuple[str, ...]
    step: int
    proposals: Mapping[str, Any] | None = None
    decoding: Decoding | None = None


def load_trained(run: str | Path) -> TrainedModel:
    """The last checkpoint of a run folder. Raises InputError that names what is missing or damaged."""
    checkpoint = load_checkpoint(run, "cpu")
    config = config_from_plain(checkpoint["config"], run)
    class_names = tuple(checkpoint["class_names"])
    model = build_model(config.model, len(class_names), config.seed)
    try:
        model.load_state_dict(checkpoint["model"])
    except RuntimeError as error:
        raise InputError(f"{run}: its weights do not fit its configuration ({str(error).splitlines()[0]})") from error
    model = model.to(_device(config)).eval()
    made = checkpoint.get("proposals"), checkpoint.get("decoding")
    return TrainedModel(model, config, class_names, int(checkpoint["step"]), *made)


def untrained(trained: TrainedModel) -> TrainedModel:
    """The same model before its first update, with its backbone's weights where it began with some."""
    config = trained.config
    model = build_model(config.model, len(trained.class_names), config.seed)
    if config.model.backbone.weights:
        load_backbone_weights(model, config.model.backbone.weights)
    return TrainedModel(model.to(_device(config)).eval(), config, trained.class_names, 0)


def _device(config: Config) -> torch.device:
    """CUDA where there is one, unless the run asks for the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() and config.device != "cpu" else "cpu")
