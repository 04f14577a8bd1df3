"""What all backbones share: pixel format, a stem and a body that can be frozen, and one stride-s feature map."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pdsl.model.equations import at_least_float32
from pdsl.model.feature_cache import FeatureCache
from pdsl.model.pixels import PixelNormalisation

Frozen = Literal["none", "stem", "all"]


@dataclass
class FeatureMap:
    """One image's features. map: (1, D, h, w); size: (height, width) of the image; scale: 1 / stride."""

    map: Tensor
    size: tuple[int, int]
    scale: float
    _wide: Tensor | None = field(default=None, repr=False)

    @property
    def wide(self) -> Tensor:
        """The map in float32 at least, as torchvision's kernels for pooling want it; cast once."""
        if self._wide is None:
            self._wide = at_least_float32(self.map)
        return self._wide


class Backbone(nn.Module):
    """Pixels -> stem -> body. Frozen parts take no gradients, keep no activations and stay in eval mode."""

    def __init__(self, stem: nn.Module, body: nn.Module, channels: int, stride: int) -> None:
        super().__init__()
        self.pixels = PixelNormalisation()
        self.stem = stem
        self.body = body
        self.channels = channels
        self.stride = stride
        self.frozen: Frozen = "none"
        self.cache: FeatureCache | None = None
        self.half_precision = False
        """Whether `features` computes in bf16, as the training did by its `precision: bfloat16`."""

    def freeze(self, frozen: Frozen) -> None:
        """Freeze nothing, the stem, or all."""
        self.frozen = frozen
        self.stem.requires_grad_(frozen == "none")
        self.body.requires_grad_(frozen != "all")
        self.train(self.training)

    def keep_features(self, folder: Path, limit: int) -> None:
        """Keep feature maps in `folder`, up to `limit` bytes, and look there first.

        Only of a backbone that lies on the CPU and whose weights never change again: ValueError if it is not frozen.
        """
        if self.frozen != "all":
            raise ValueError(f"the backbone learns (frozen: {self.frozen}), its features can not be kept")
        self.cache = FeatureCache(folder, self, limit)

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        self.stem.train(mode and self.frozen == "none")
        self.body.train(mode and self.frozen != "all")
        return self

    def forward(self, image: Tensor, through_frozen: bool = False) -> Tensor:
        """(N, 3, H, W) float RGB 0..255 -> (N, D, h, w), h and w at least 1.

        An image with a side shorter than the stride, of which strided layers would leave nothing, gets zeros (the mean
        colour) on the right or below, as every convolution sees around an image; no other image is padded.
        through_frozen: let gradients with respect to the image pass frozen parts (cascade learning needs them).
        """
        if self.cache is not None and not through_frozen:
            return torch.cat([self.cache.features(single, self._compute) for single in image.split(1)])
        return self._compute(image, through_frozen)

    def _compute(self, image: Tensor, through_frozen: bool = False) -> Tensor:
        trainable = torch.is_grad_enabled()
        with torch.set_grad_enabled(trainable and (through_frozen or self.frozen == "none")):
            x = self.stem(self._at_least_a_cell(self.pixels(image)))
        with torch.set_grad_enabled(trainable and (through_frozen or self.frozen != "all")):
            return self.body(x)

    def _at_least_a_cell(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if min(height, width) >= self.stride:
            return x
        return F.pad(x, (0, max(0, self.stride - width), 0, max(0, self.stride - height)))

    def features(self, image: Tensor, through_frozen: bool = False) -> FeatureMap:
        """(3, H, W) -> its feature map: float32, or what autocast makes of it where that is on."""
        height, width = image.shape[-2:]
        if self.half_precision and not torch.is_autocast_enabled(image.device.type):
            with torch.autocast(image.device.type, torch.bfloat16):
                features = at_least_float32(self(image[None], through_frozen))
        else:
            features = self(image[None], through_frozen)
        return FeatureMap(features, (height, width), 1 / self.stride)
