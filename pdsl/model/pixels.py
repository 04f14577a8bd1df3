"""Pixel formats: what a backbone's weights expect of an image. Carried with the weights, not with the data set."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class PixelFormat:
    """(channels - mean) / deviation, of RGB 0..255 or, with `bgr`, of the reversed channels."""

    bgr: bool
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


TORCHVISION = PixelFormat(False, (0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255))
CAFFE = PixelFormat(True, (102.9801, 115.9465, 122.7717), (1.0, 1.0, 1.0))
"""BGR 0..255 minus mean: Caffe's models and the authors' ResNet-WS."""


class PixelNormalisation(nn.Module):
    """Brings RGB 0..255 images into a pixel format. Its buffers are saved with the weights that need them."""

    mean: Tensor
    deviation: Tensor
    channel: Tensor

    def __init__(self, pixel_format: PixelFormat = TORCHVISION) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("deviation", torch.ones(3, 1, 1))
        self.register_buffer("channel", torch.arange(3))
        self.set(pixel_format)

    def set(self, pixel_format: PixelFormat) -> None:
        """Adopt another format, in place."""
        self.mean.copy_(torch.tensor(pixel_format.mean).view(3, 1, 1))
        self.deviation.copy_(torch.tensor(pixel_format.deviation).view(3, 1, 1))
        self.channel.copy_(torch.tensor([2, 1, 0] if pixel_format.bgr else [0, 1, 2]))

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) float RGB 0..255 -> the same shape in the format's channel order and scale."""
        return (image.index_select(1, self.channel) - self.mean) / self.deviation
