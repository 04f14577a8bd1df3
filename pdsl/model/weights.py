"""ImageNet weights for a new model: whose names mean what, what was matched, and refusal of a wrong file."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from data.errors import InputError
from pdsl.model.pdsl import PDSL
from pdsl.model.pixels import CAFFE, TORCHVISION, PixelFormat
from pdsl.model.vgg import STEM_LENGTH
from pdsl.model.weight_files import read_weights

_FOLDED_VARIANCE = 1 - 1e-5
"""FrozenBatchNorm2d divides by sqrt(variance + 1e-5): norms that are folded into scale and shift pass unchanged."""

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

    source: torchvision's VGG16 or ResNet weights (file, or IMAGENET1K_V1), or the authors' ResNet-WS pickle. A
    torchvision ResNet has no three-convolution stem: that stays random, and must not be frozen.
    Raises InputError with the report if the file is not of this backbone; the model is then unchanged.
    """
    config = model.config.backbone
    arrays = read_weights(source, config.name)
    authors = any("branch2a" in name for name in arrays)
    rename = _rename_vgg if config.name == "vgg16" else _rename_authors if authors else _rename_torchvision
    report, values = _match(model, arrays, source, rename)
    _refuse_wrong_file(model, report)
    state = model.state_dict()
    with torch.no_grad():
        for name, value in values.items():
            state[name].copy_(value)
    pixels: dict[str, PixelFormat] = {"torchvision": TORCHVISION, "caffe": CAFFE}
    model.backbone.pixels.set(pixels[config.pixels] if config.pixels != "auto" else CAFFE if authors else TORCHVISION)
    if config.freeze == "auto":
        model.backbone.freeze("all" if authors else "none" if report.missing else "stem")
    return report


def _match(
    model: PDSL, arrays: dict[str, Tensor], source: str, rename: Callable[[str], str | None]
) -> tuple[WeightsReport, dict[str, Tensor]]:
    state = model.state_dict()
    values: dict[str, Tensor] = {}
    mismatched, left_over = [], []
    for name, value in arrays.items():
        target = rename(name)
        if target is None or target not in state:
            left_over.append(name)
        elif state[target].shape != value.shape:
            mismatched.append(f"{target}: {tuple(value.shape)} in the file, {tuple(state[target].shape)} in the model")
        else:
            values[target] = value
    if rename is _rename_authors:
        values |= _folded_norms(values)
    backbone = [name for name in state if name.startswith(("backbone.stem.", "backbone.body."))]
    missing = tuple(name for name in backbone if name not in values)
    return WeightsReport(source, tuple(values), missing, tuple(mismatched), tuple(left_over)), values


def _folded_norms(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mean 0 and variance 1 for every norm of which scale and shift were found."""
    statistics = {}
    for name, value in values.items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight" and f"{layer}.bias" in values and value.dim() == 1 and name.startswith("backbone."):
            statistics[f"{layer}.running_mean"] = torch.zeros_like(value)
            statistics[f"{layer}.running_var"] = torch.full_like(value, _FOLDED_VARIANCE)
    return statistics


def _refuse_wrong_file(model: PDSL, report: WeightsReport) -> None:
    """A part may stay random only if it is the stem that torchvision's ResNets do not have, and is trained."""
    body_missing = [name for name in report.missing if not name.startswith("backbone.stem.")]
    wrong_shape = [name for name in report.mismatched if name.startswith("backbone.")]
    config = model.config.backbone
    if body_missing or wrong_shape:
        raise InputError(f"not weights of '{config.name}': {report}")
    if report.missing and config.freeze not in ("auto", "none"):
        raise InputError(
            f"backbone.freeze: '{config.freeze}' would freeze a random stem, which these weights do not have; "
            f"use 'auto' or 'none', or the authors' ResNet-WS weights ({report})"
        )


def _rename_vgg(name: str) -> str | None:
    """torchvision's VGG16: features.N.*, classifier.0 and .3 = fc6 and fc7."""
    if match := re.fullmatch(r"features\.(\d+)\.(weight|bias)", name):
        index = int(match[1])
        part = f"stem.{index}" if index < STEM_LENGTH else f"body.{index - STEM_LENGTH}"
        return f"backbone.{part}.{match[2]}"
    if match := re.fullmatch(r"classifier\.([03])\.(weight|bias)", name):
        return f"box_head.fc{1 if match[1] == '0' else 2}.{match[2]}"
    return None


def _rename_torchvision(name: str) -> str | None:
    """torchvision's ResNets: layer1..4 = res2..res5; their 7x7 stem and classifier have no counterpart."""
    match = re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", name)
    if match is None:
        return None
    inner = match[3].replace("downsample.0", "shortcut.conv").replace("downsample.1", "shortcut.bn")
    return f"backbone.body.res{int(match[1]) + 1}.{match[2]}.{inner}"


_NORM_FIELDS = {"s": "weight", "b": "bias"}
_AUTHORS_STEM = re.compile(r"(?:res_)?(?:stem_)?conv(?:1_)?([123])_(?:(w)|bn_([sb]))")
_AUTHORS_BLOCK = re.compile(r"res([2-5])_(\d+)_branch(1|2[abc])_(?:(w)|bn_([sb]))")


def _rename_authors(name: str) -> str | None:
    """The authors' pickle (Caffe2's names), before or after their own conversion (`stem_conv`, fc1 for fc6)."""
    if match := _AUTHORS_STEM.fullmatch(name):
        number = match[1]
        return (
            f"backbone.stem.conv{number}.weight" if match[2] else f"backbone.stem.bn{number}.{_NORM_FIELDS[match[3]]}"
        )
    if match := _AUTHORS_BLOCK.fullmatch(name):
        stage, block, branch = match[1], match[2], match[3]
        if branch == "1":
            convolution, norm = "shortcut.conv", "shortcut.bn"
        else:
            number = "abc".index(branch[1]) + 1
            convolution, norm = f"conv{number}", f"bn{number}"
        field = f"{convolution}.weight" if match[4] else f"{norm}.{_NORM_FIELDS[match[5]]}"
        return f"backbone.body.res{stage}.{block}.{field}"
    if match := re.fullmatch(r"fc([1267])_([wb])", name):
        layer = {"1": 1, "2": 2, "6": 1, "7": 2}[match[1]]
        return f"box_head.fc{layer}.{'weight' if match[2] == 'w' else 'bias'}"
    return None
