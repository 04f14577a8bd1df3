"""Batch normalisation by stored statistics, folded into the convolution before it where that one is frozen."""

from collections.abc import Callable
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d


class FrozenNorm(FrozenBatchNorm2d):
    """(x - mean) / sqrt(variance + eps) * weight + bias by channel; nothing of it ever learns.

    It answers in its input's type: under autocast in bf16, where torchvision's promotes to float32.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self._folded: tuple[Any, Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, D, h, w) -> the same."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)

    def after(self, convolution: nn.Conv2d, x: Tensor) -> Tensor:
        """self(convolution(x)), of a convolution without bias; of a frozen one, a single convolution with one."""
        if convolution.weight.requires_grad:
            normalised: Tensor = self(convolution(x))
            return normalised
        weight, bias = self._fold(convolution, x.device.type)
        return F.conv2d(x, weight, bias, convolution.stride, convolution.padding, convolution.dilation)

    def _fold(self, convolution: nn.Conv2d, device: str) -> tuple[Tensor, Tensor]:
        """Weight and bias of both together, in autocast's type where that is on; kept as long as nothing changes."""
        parts = convolution.weight, self.weight, self.bias, self.running_mean, self.running_var
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else parts[0].dtype
        if torch.compiler.is_compiling():
            return self._product(parts[0], dtype)
        state = (dtype, id(parts[0]), *(part._version for part in parts))
        if self._folded is None or self._folded[0] != state:
            with torch.inference_mode(False), torch.no_grad():
                self._folded = state, *self._product(parts[0], dtype)
        return self._folded[1:]

    def _product(self, weight: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return (weight * scale[:, None, None, None]).to(dtype), shift.to(dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._folded = None  # it goes to another device or type
        return super()._apply(fn, recurse)
