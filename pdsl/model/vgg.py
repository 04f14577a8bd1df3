"""VGG16-DC5: pool4 removed and conv5 dilated, stride 8, as all weakly supervised detection peers have it."""

from torch import nn

from pdsl.model.backbone import Backbone

# (output channels of a 3x3 convolution) or "pool"; stem = conv1 and conv2, body = conv3 to conv5 without pool4, pool5
_STEM: tuple[int | str, ...] = (64, 64, "pool", 128, 128, "pool")
_BODY: tuple[int | str, ...] = (256, 256, 256, "pool", 512, 512, 512, "no pool", 512, 512, 512)

STEM_LENGTH = 10
"""torchvision's `features.N` lies in the stem for N < 10, else in the body at N - 10."""


def vgg16() -> Backbone:
    """VGG16-DC5: 512 channels at stride 8."""
    stem, channels = _layers(_STEM, 3)
    body, channels = _layers(_BODY, channels)
    return Backbone(stem, body, channels=channels, stride=8)


def _layers(plan: tuple[int | str, ...], channels: int) -> tuple[nn.Sequential, int]:
    """The layers in torchvision's numbering (a removed pool keeps its place)."""
    layers: list[nn.Module] = []
    dilation = 1
    for item in plan:
        if item == "pool":
            layers.append(nn.MaxPool2d(2, 2))
        elif item == "no pool":
            layers.append(nn.Identity())
            dilation = 2
        else:
            width = int(item)
            layers += [nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation), nn.ReLU(inplace=True)]
            channels = width
    return nn.Sequential(*layers), channels
