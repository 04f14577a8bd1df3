"""The model of a run folder, ready to look at images."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data.errors import InputError
from data.parameters import replace
from data.records import Decoding
from pdsl.config.load import config_from_plain
from pdsl.config.tree import Config, DeviceName
from pdsl.model.build import build_model, equip_backbone
from pdsl.model.pdsl import PDSL
from pdsl.model.weights import load_backbone_weights
from pdsl.run.checkpoint import load_checkpoint


@dataclass(frozen=True)
class TrainedModel:
    """model: in eval mode, on its device. step: updates it has seen. class_names: its C classes.

    proposals: how the proposals it was trained with were made ({"params", "source_path"}). data_set: the first one it
    was trained with (`CacheReader.data_set`). decoding: how its images were decoded. seeds: parameters of the stages
    behind its seed masks. None where it does not say. image_lists: digests of the stores' lists of images it was
    trained with.
    """

    model: PDSL
    config: Config
    class_names: tuple[str, ...]
    step: int
    proposals: Mapping[str, Any] | None = None
    data_set: Mapping[str, Any] | None = None
    decoding: Decoding | None = None
    seeds: Mapping[str, Any] | None = None
    image_lists: tuple[str, ...] = ()


def load_trained(run: str | Path, device: DeviceName | None = None) -> TrainedModel:
    """The last checkpoint of a run folder, on `device`, or the one of its configuration where None.

    Raises InputError that names what is missing or damaged, and where CUDA was asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no CUDA device; use --device cpu")
    checkpoint = load_checkpoint(run, "cpu")
    config = config_from_plain(checkpoint["config"], run)
    class_names = tuple(checkpoint["class_names"])
    model = build_model(config.model, len(class_names), config.seed)
    try:
        model.load_state_dict(checkpoint["model"])
    except RuntimeError as error:
        raise InputError(f"{run}: its weights do not fit its configuration ({str(error).splitlines()[0]})") from error
    told = {name: checkpoint.get(name) for name in ("proposals", "data_set", "decoding", "seeds")}
    lists = tuple(str(digest).partition(":")[0] for digest in checkpoint.get("stores") or ())
    ready, step = _ready(model, config, device), int(checkpoint["step"])
    return TrainedModel(ready, config, class_names, step, **told, image_lists=lists)


def with_inference(trained: TrainedModel, values: Mapping[str, Any]) -> TrainedModel:
    """The same model, read with other settings of `inference:`. Raises InputError for unknown keys and bad values."""
    return dataclasses.replace(trained, config=replace(trained.config, {"inference": dict(values)}))


def untrained(trained: TrainedModel) -> TrainedModel:
    """The same model before its first update, with its backbone's weights where it began with some."""
    config = trained.config
    model = build_model(config.model, len(trained.class_names), config.seed)
    if config.model.backbone.begins_with:
        load_backbone_weights(model, config.model.backbone.begins_with)
    return TrainedModel(_ready(model, config), config, trained.class_names, 0)


def _ready(model: PDSL, config: Config, wanted: DeviceName | None = None) -> PDSL:
    """In eval mode, on its device; with the features that the training kept, if they are on this machine."""
    device = _device(wanted or config.device)
    model = model.to(device).eval()
    equip_backbone(model, config, begin_cache=False)
    return model


def _device(wanted: DeviceName) -> torch.device:
    """CUDA where there is one, unless the CPU is wanted."""
    return torch.device("cuda" if torch.cuda.is_available() and wanted != "cpu" else "cpu")
