"""Whose weights a file holds, told by its names, and what they are called here.

Three styles: torchvision's, the authors' pickles (Caffe2's names, before or after their own conversion), and
detectron2's, which the authors' release saves.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pdsl.model.vgg import STEM_LENGTH

Style = Literal["torchvision", "authors", "detectron2"]

FOLDED_VARIANCE = 1 - 1e-5
"""FrozenBatchNorm2d divides by sqrt(variance + 1e-5): norms that are folded into scale and shift pass unchanged."""

_RESNETS = {(2, False): 18, (6, False): 34, (6, True): 50, (23, True): 101, (36, True): 152}
"""Depth by the number of blocks in the third stage (res4, layer3), and whether a block has a third convolution."""
_VGGS = {8: 11, 10: 13, 13: 16, 16: 19}
"""Depth by the number of convolutions."""
_BLOCKS: Mapping[Style, str] = {
    "authors": r"res4_(\d+)_branch2(\w)_w",
    "detectron2": r"(?:backbone\.)?res4\.(\d+)\.conv(\d)\.weight",
    "torchvision": r"layer3\.(\d+)\.conv(\d)\.weight",
}
_CONVOLUTIONS: Mapping[Style, str] = {
    "detectron2": r"(?:backbone\.)?plain\d\.\d+\.conv\d\.weight",
    "torchvision": r"features\.\d+\.weight",
}


@dataclass(frozen=True)
class Origin:
    """style: of the names. network: "ResNet50", "VGG19" …, or None where the names are of none that is known.
    own: the file is a checkpoint of this program."""

    style: Style
    network: str | None
    own: bool = False

    @property
    def backbone(self) -> str | None:
        """The `backbone.name` that takes such weights, if any does."""
        if self.network == "VGG16":
            return "vgg16"
        return f"{self.network.lower()}_ws" if self.network in ("ResNet18", "ResNet50", "ResNet101") else None

    def description(self) -> str:
        """What the file is, and what to do with it."""
        if self.own:
            return "this is a checkpoint of this program, which --init takes"
        if self.network is None:
            return "its names are of no network that is known here (`pdsl weights` lists what each backbone takes)"
        article = {"authors": "the authors'", "detectron2": "a detectron2", "torchvision": "torchvision's"}[self.style]
        cure = (
            f"base=backbone/{self.backbone.replace('_', '-')}.yaml takes it"
            if self.backbone
            else "no backbone takes it"
        )
        return f"this is {article} {self.network} ({cure})"


def identify(names: Iterable[str]) -> Origin:
    """What network the array names of a file belong to. Unknown names count as torchvision's style."""
    listed = list(names)
    for style, pattern in _BLOCKS.items():
        blocks = [match for name in listed if (match := re.fullmatch(pattern, name))]
        if blocks:
            bottleneck = any(match[2] in ("c", "3") for match in blocks)
            depth = _RESNETS.get((len({match[1] for match in blocks}), bottleneck))
            return Origin(style, f"ResNet{depth}" if depth else None)
    for style, pattern in _CONVOLUTIONS.items():
        if count := sum(bool(re.fullmatch(pattern, name)) for name in listed):
            depth = _VGGS.get(count)
            return Origin(style, f"VGG{depth}" if depth else None)
    own = any(name.startswith("backbone.body.") for name in listed)
    return Origin("authors" if any("_branch" in name for name in listed) else "torchvision", None, own)


def rename(name: str, style: Style) -> str | None:
    """The name in this model's state of an array `name`; None for what has no counterpart here."""
    if style == "authors":
        return _rename_authors(name)
    if style == "detectron2":
        return _rename_detectron2(name)
    return _rename_torchvision(name)


def folded_norms(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Mean 0 and variance 1 for every norm of `values` (by this model's names) that has a scale and a shift."""
    statistics = {}
    for name, value in values.items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight" and f"{layer}.bias" in values and value.dim() == 1 and name.startswith("backbone."):
            statistics[f"{layer}.running_mean"] = torch.zeros_like(value)
            statistics[f"{layer}.running_var"] = torch.full_like(value, FOLDED_VARIANCE)
    return statistics


def _rename_torchvision(name: str) -> str | None:
    """VGG16: features.N.*, classifier.0 and .3 = fc6 and fc7. ResNets: layer1..4 = res2..res5; their 7x7 stem and
    classifier have no counterpart."""
    if match := re.fullmatch(r"features\.(\d+)\.(weight|bias)", name):
        index = int(match[1])
        part = f"stem.{index}" if index < STEM_LENGTH else f"body.{index - STEM_LENGTH}"
        return f"backbone.{part}.{match[2]}"
    if match := re.fullmatch(r"classifier\.([03])\.(weight|bias)", name):
        return f"box_head.fc{1 if match[1] == '0' else 2}.{match[2]}"
    if match := re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", name):
        inner = match[3].replace("downsample.0", "shortcut.conv").replace("downsample.1", "shortcut.bn")
        return f"backbone.body.res{int(match[1]) + 1}.{match[2]}.{inner}"
    return None


_PLAIN_PLACES = {"1": 0, "2": 5, "3": 10, "4": 17, "5": 24}
"""torchvision's number of the first convolution of each of VGG's five blocks."""


def _rename_detectron2(name: str) -> str | None:
    """detectron2's ResNet and VGG as the release has them: a norm lies within its convolution."""
    if match := re.fullmatch(r"roi_heads\.box_head\.fc([12])\.(weight|bias)", name):
        return f"box_head.fc{match[1]}.{match[2]}"
    if match := re.fullmatch(r"(?:backbone\.)?plain([1-5])\.0\.conv([1-3])\.(weight|bias)", name):
        return _rename_torchvision(f"features.{_PLAIN_PLACES[match[1]] + 2 * (int(match[2]) - 1)}.{match[3]}")
    match = re.fullmatch(r"(?:backbone\.)?(stem|res[2-5]\.\d+)\.(conv\d|shortcut)\.(norm\.)?(\w+)", name)
    if match is None:
        return None
    part = match[1] if match[1] == "stem" else f"body.{match[1]}"
    kind = "bn" if match[3] else "conv"
    layer = f"shortcut.{kind}" if match[2] == "shortcut" else f"{kind}{match[2].removeprefix('conv')}"
    return f"backbone.{part}.{layer}.{match[4]}"


_NORM_FIELDS = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
_AUTHORS_STEM = re.compile(r"(?:res_)?(?:stem_)?conv(?:1_)?([123])_(?:(w)|bn_(s|b|rm|riv))")
_AUTHORS_BLOCK = re.compile(r"res([2-5])_(\d+)_branch(1|2[abc])_(?:(w)|bn_(s|b|rm|riv))")


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
