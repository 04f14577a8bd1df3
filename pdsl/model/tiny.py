"""A backbone of some 100 thousand weights for small pictures, trained from scratch on a CPU: demos and tests."""

from torch import nn

from pdsl.model.backbone import Backbone


def tiny() -> Backbone:
    """Four convolutions, 64 channels at stride 4. GroupNorm, as batch statistics would tie the images together."""
    stem = nn.Sequential(*_layer(3, 32, stride=2), *_layer(32, 32))
    body = nn.Sequential(nn.MaxPool2d(2, 2), *_layer(32, 64), *_layer(64, 64, dilation=2))
    return Backbone(stem, body, channels=64, stride=4)


def _layer(channels: int, width: int, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, width, 3, stride, dilation, dilation, bias=False)
    return [convolution, nn.GroupNorm(8, width), nn.ReLU(inplace=True)]
