"""The only place where a model is put together."""

from functools import partial
from pathlib import Path

import torch

from data.errors import InputError
from pdsl.config.model import BackboneName, ModelConfig
from pdsl.config.tree import Config
from pdsl.model.backbone import Backbone
from pdsl.model.footprint import refuse_large_weights
from pdsl.model.heads import BoxHead, RefinementHead, TwoStreamHead
from pdsl.model.mask_head import MaskHead
from pdsl.model.pdsl import PDSL
from pdsl.model.pixels import CAFFE, TORCHVISION
from pdsl.model.resnet_ws import resnet_ws
from pdsl.model.tiny import keep_primitives, tiny
from pdsl.model.vgg import vgg16


def build_model(config: ModelConfig, n_classes: int, seed: int = 0) -> PDSL:
    """PDSL with random weights, on the CPU, in training mode. Deterministic in `seed`; reads no file.

    Weights come afterwards: `pdsl.model.weights.load_backbone_weights(model, config.backbone.weights)` to begin a
    training (it settles what `freeze: auto` means), `load_state_dict` for a checkpoint (it carries the pixel format
    too). Raises InputError, before anything is built, if the weights do not fit into this machine's memory.
    """
    with torch.random.fork_rng(devices=[]):
        refuse_large_weights(config, partial(assemble, n_classes=n_classes))
        torch.manual_seed(seed)
        model = assemble(config, n_classes)
    model.backbone.pixels.set(CAFFE if config.backbone.pixels == "caffe" else TORCHVISION)
    return model


def assemble(config: ModelConfig, n_classes: int) -> PDSL:
    """PDSL with weights from torch's global generator, on torch's default device."""
    backbone = build_backbone(config.backbone.name)
    width = config.box_head.hidden[-1]
    model = PDSL(
        config,
        n_classes,
        backbone=backbone,
        box_head=BoxHead(backbone.channels, config.box_head),
        two_stream_head=TwoStreamHead(
            width, n_classes, config.detection.two_stream_start, config.detection.objectness_prior
        ),
        refinement_heads=[
            RefinementHead(width, n_classes, config.detection.regression) for _ in range(config.detection.n_r)
        ],
        mask_head=MaskHead(backbone.channels, n_classes, config.mask),
    )
    backbone.freeze(config.backbone.frozen_at_first)
    return model


def equip_backbone(model: PDSL, config: Config, *, begin_cache: bool) -> None:
    """Let the backbone of a model compute as the configuration says, on the device where it lies: in which precision,
    and with the feature maps that are kept on disk if it is frozen as a whole and on a CPU.

    begin_cache: whether a folder of maps that is not there is begun, as training does; what looks at images later only
    reads on where training kept some. Raises InputError where maps are to be begun of a backbone that learns.
    """
    backbone, folder = model.backbone, config.features.cache
    backbone.half_precision = config.precision == "bfloat16"
    if config.model.backbone.name == "tiny":
        keep_primitives()
    if not folder or next(model.parameters()).device.type != "cpu":
        return
    if backbone.frozen == "all" and (begin_cache or Path(folder).is_dir()):
        backbone.keep_features(Path(folder), config.features.limit)
    elif begin_cache:
        raise InputError(
            f"features.cache: only a backbone that is frozen as a whole can keep its features, this one's frozen part "
            f"is: {backbone.frozen}; set model.backbone.freeze=all (with weights), or features.cache=null"
        )


def build_backbone(name: BackboneName) -> Backbone:
    """A backbone by name, with random weights from torch's global generator."""
    if name == "vgg16":
        return vgg16()
    if name == "tiny":
        return tiny()
    return resnet_ws(int(name.removeprefix("resnet").removesuffix("_ws")))
