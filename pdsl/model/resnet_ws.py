"""ResNet-WS (Shen et al., ECCV 2020): residual networks for weakly supervised detection, stride 8.

Stem of three 3x3 convolutions; no strided convolution after the first; 2x2 max pooling after res2 and res3, the latter
of stride 1 in a detector; dilation 2 in res4 and res5. Norms always use stored statistics.
"""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from pdsl.model.backbone import Backbone
from pdsl.model.frozen_norm import FrozenNorm

_STEM_WIDTH = 64
_DEPTHS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def resnet_ws(depth: int) -> Backbone:
    """ResNet18-WS (512 channels), ResNet50-WS or ResNet101-WS (2048 channels)."""
    bottleneck = depth > 18
    stages: list[tuple[str, nn.Module]] = []
    channels = _STEM_WIDTH
    for number, blocks in zip((2, 3, 4, 5), _DEPTHS[depth], strict=True):
        width = _STEM_WIDTH * 2 ** (number - 2)
        dilation = 2 if number >= 4 else 1
        layers: list[nn.Module] = []
        for _ in range(blocks):
            block = Bottleneck(channels, width, dilation) if bottleneck else BasicBlock(channels, width, dilation)
            layers.append(block)
            channels = block.channels
        stages.append((f"res{number}", nn.Sequential(*layers)))
        if number == 2:
            stages.append(("pool2", nn.MaxPool2d(2, 2)))
        if number == 3:
            stages.append(("pool3", DensePool()))
    return Backbone(Stem(), nn.Sequential(OrderedDict(stages)), channels=channels, stride=8)


class Stem(nn.Module):
    """Three 3x3 convolutions of 64 channels, the first of stride 2, and a 2x2 max pool: stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(3, _STEM_WIDTH, 3, stride=2), FrozenNorm(_STEM_WIDTH)
        self.conv2, self.bn2 = _conv(_STEM_WIDTH, _STEM_WIDTH, 3), FrozenNorm(_STEM_WIDTH)
        self.conv3, self.bn3 = _conv(_STEM_WIDTH, _STEM_WIDTH, 3), FrozenNorm(_STEM_WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1.after(self.conv1, x))
        x = F.relu(self.bn2.after(self.conv2, x))
        x = F.relu(self.bn3.after(self.conv3, x))
        return F.max_pool2d(x, 2, 2)


class DensePool(nn.Module):
    """2x2 max pooling of stride 1, zero-padded right and bottom (its input is not negative): same size out as in."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 2, 1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, 1x1 where the channels change."""

    def __init__(self, channels: int, width: int, dilation: int) -> None:
        super().__init__()
        self.channels = width
        self.conv1, self.bn1 = _conv(channels, width, 3, dilation=dilation), FrozenNorm(width)
        self.conv2, self.bn2 = _conv(width, width, 3, dilation=dilation), FrozenNorm(width)
        self.shortcut = _shortcut(channels, width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1.after(self.conv1, x))
        return F.relu(self.bn2.after(self.conv2, y) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions (the last four times as wide) and a shortcut, 1x1 where the channels change."""

    def __init__(self, channels: int, width: int, dilation: int) -> None:
        super().__init__()
        self.channels = 4 * width
        self.conv1, self.bn1 = _conv(channels, width, 1), FrozenNorm(width)
        self.conv2, self.bn2 = _conv(width, width, 3, dilation=dilation), FrozenNorm(width)
        self.conv3, self.bn3 = _conv(width, self.channels, 1), FrozenNorm(self.channels)
        self.shortcut = _shortcut(channels, self.channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1.after(self.conv1, x))
        y = F.relu(self.bn2.after(self.conv2, y))
        return F.relu(self.bn3.after(self.conv3, y) + self.shortcut(x))


def _shortcut(channels: int, width: int) -> nn.Module:
    if channels == width:
        return nn.Identity()
    return _Projection(channels, width)


class _Projection(nn.Module):
    """A 1x1 convolution."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv, self.bn = _conv(channels, width, 1), FrozenNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn.after(self.conv, x)


def _conv(channels: int, width: int, side: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (side // 2)
    return nn.Conv2d(channels, width, side, stride, padding, dilation, bias=False)
