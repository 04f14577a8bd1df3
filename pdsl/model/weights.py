"""ImageNet weights for a new model: whose names mean what, what was matched, and refusal of a wrong file."""

from dataclasses import dataclass

import torch
from torch import Tensor

from data.errors import InputError
from pdsl.model.pdsl import PDSL
from pdsl.model.pixels import CAFFE, TORCHVISION, PixelFormat
from pdsl.model.weight_files import read_weights
from pdsl.model.weight_names import Origin, folded_norms, identify, rename

_NAMES_SHOWN = 8


@dataclass(frozen=True)
class WeightsReport:
    """What became of a file's arrays and of the model's backbone.

    matched: the model's names that got values (backbone, and the box head where the file has its layers);
    missing: backbone names that got none; mismatched: "name: shape in the file, shape in the model";
    left_over: the file's names that fit nowhere.
    """

    source: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[str, ...]
    left_over: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{self.source}: {len(self.matched)} arrays matched"]
        for title in ("missing", "mismatched", "left_over"):
            names = getattr(self, title)
            if names:
                more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
                parts.append(f"{len(names)} {title.replace('_', ' ')}: {', '.join(names[:_NAMES_SHOWN])}{more}")
        return "; ".join(parts)


def load_backbone_weights(model: PDSL, source: str) -> WeightsReport:
    """Fill backbone (and box head, where the file has fully connected layers) from a file, adopt its pixel format and
    freeze what `freeze: auto` freezes with such weights.

    source: torchvision's VGG16 or ResNet weights (file, or IMAGENET1K_V1), the authors' ResNet-WS pickle, or a file
    with detectron2's names. A torchvision ResNet has no three-convolution stem: that stays random, and must not be
    frozen.
    Raises InputError with the report if the file is not of this backbone; the model is then unchanged.
    """
    config = model.config.backbone
    arrays = read_weights(source, config.name)
    origin = identify(arrays)
    report, values = _match(model, arrays, source, origin)
    _refuse_wrong_file(model, report, origin)
    state = model.state_dict()
    with torch.no_grad():
        for name, value in values.items():
            state[name].copy_(value)
    pixels: dict[str, PixelFormat] = {"torchvision": TORCHVISION, "caffe": CAFFE}
    own = TORCHVISION if origin.style == "torchvision" else CAFFE
    model.backbone.pixels.set(own if config.pixels == "auto" else pixels[config.pixels])
    if config.freeze == "auto":
        whole = origin.style != "torchvision" and config.name != "vgg16"
        model.backbone.freeze("all" if whole else "none" if report.missing else "stem")
    return report


def _match(
    model: PDSL, arrays: dict[str, Tensor], source: str, origin: Origin
) -> tuple[WeightsReport, dict[str, Tensor]]:
    state = model.state_dict()
    values: dict[str, Tensor] = {}
    mismatched, left_over = [], []
    for name, value in arrays.items():
        target = rename(name, origin.style)
        if target is None or target not in state:
            left_over.append(name)
        elif state[target].shape != value.shape:
            mismatched.append(f"{target}: {tuple(value.shape)} in the file, {tuple(state[target].shape)} in the model")
        else:
            values[target] = value
    if origin.style == "authors":
        values = folded_norms(values) | values
    backbone = [name for name in state if name.startswith(("backbone.stem.", "backbone.body."))]
    missing = tuple(name for name in backbone if name not in values)
    return WeightsReport(source, tuple(values), missing, tuple(mismatched), tuple(left_over)), values


def _refuse_wrong_file(model: PDSL, report: WeightsReport, origin: Origin) -> None:
    """A part may stay random only if it is the stem that torchvision's ResNets do not have, and is trained.

    A deeper network of the family is another network, although the arrays of a ResNet50 are all in a ResNet101.
    """
    body_missing = [name for name in report.missing if not name.startswith("backbone.stem.")]
    wrong_shape = [name for name in report.mismatched if name.startswith("backbone.")]
    config = model.config.backbone
    another = origin.network is not None and origin.backbone != config.name
    if body_missing or wrong_shape or another:
        what = f"; {origin.description()}" if another or origin.network is None else ""
        raise InputError(f"not weights of '{config.name}'{what}: {report}")
    if report.missing and config.freeze not in ("auto", "none"):
        raise InputError(
            f"backbone.freeze: '{config.freeze}' would freeze a random stem, which these weights do not have; "
            f"use 'auto' or 'none', or the authors' ResNet-WS weights ({report})"
        )
