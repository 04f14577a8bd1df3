"""A backbone of some 100 thousand weights for small pictures, trained from scratch on a CPU: demos and tests."""

import os

from torch import nn

from pdsl.model.backbone import Backbone

PRIMITIVES = 16384
"""Layers of one shape that oneDNN keeps ready: those of nearly all pictures of the demo, in some 200 MB."""


def keep_primitives() -> None:
    """Before the first pass on a CPU: let oneDNN keep what it compiled for each shape of each layer.

    Pictures are cropped to thousands of sizes, and oneDNN keeps 1,024 shapes of layers unless the environment says
    otherwise: of a network so small, compiling takes a fifth of an update. (A large network compiles as often, but in
    no time beside its own, and 512 channels take 1.6 MB a shape.)
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PRIMITIVES))


def tiny() -> Backbone:
    """Four convolutions, 64 channels at stride 4. GroupNorm, as batch statistics would tie the images together."""
    stem = nn.Sequential(*_layer(3, 32, stride=2), *_layer(32, 32))
    body = nn.Sequential(nn.MaxPool2d(2, 2), *_layer(32, 64), *_layer(64, 64, dilation=2))
    return Backbone(stem, body, channels=64, stride=4)


def _layer(channels: int, width: int, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, width, 3, stride, dilation, dilation, bias=False)
    return [convolution, nn.GroupNorm(8, width), nn.ReLU(inplace=True)]
