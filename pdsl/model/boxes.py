"""Box arithmetic on tensors, as `data.boxes` does it on arrays: xyxy, half-open, pixels; differentiable."""

import math

import torch
from torch import Tensor

_LARGEST_LOG_SCALE = math.log(1000 / 16)
"""Cap of dw and dh, as in Fast R-CNN's successors, so that exp() stays finite."""

DELTA_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Scale of the regression targets (dx, dy, dw, dh), as in Fast R-CNN."""


def area(box: Tensor) -> Tensor:
    """(..., 4) -> (...); boxes of negative side have area 0."""
    return (box[..., 2] - box[..., 0]).clamp(min=0) * (box[..., 3] - box[..., 1]).clamp(min=0)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of every box in `a` (N, 4) with every box in `b` (M, 4): (N, M); 0 where a box has no area."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    side = (high - low).clamp(min=0)
    intersection = side[..., 0] * side[..., 1]
    union = area(a)[:, None] + area(b)[None] - intersection
    return torch.where(union > 0, intersection / union.clamp(min=1e-12), torch.zeros_like(union))


def clip(box: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) clipped to an image of `size` (height, width)."""
    height, width = size
    x0, y0, x1, y1 = box.unbind(-1)
    return torch.stack([x0.clamp(0, width), y0.clamp(0, height), x1.clamp(0, width), y1.clamp(0, height)], -1)


def encode(source: Tensor, target: Tensor) -> Tensor:
    """Deltas (dx, dy, dw, dh) x DELTA_WEIGHTS that move `source` boxes (..., 4) onto `target` boxes (..., 4)."""
    sx, sy, sw, sh = _centre_and_side(source)
    tx, ty, tw, th = _centre_and_side(target)
    wx, wy, ww, wh = DELTA_WEIGHTS
    return torch.stack(
        [wx * (tx - sx) / sw, wy * (ty - sy) / sh, ww * torch.log(tw / sw), wh * torch.log(th / sh)],
        -1,
    )


def decode(source: Tensor, delta: Tensor) -> Tensor:
    """The inverse of `encode`: boxes (..., 4) from source boxes and deltas (broadcast against each other)."""
    sx, sy, sw, sh = _centre_and_side(source)
    wx, wy, ww, wh = DELTA_WEIGHTS
    dx, dy, dw, dh = delta.unbind(-1)
    x, y = sx + dx / wx * sw, sy + dy / wy * sh
    half_w = sw * torch.exp((dw / ww).clamp(max=_LARGEST_LOG_SCALE)) / 2
    half_h = sh * torch.exp((dh / wh).clamp(max=_LARGEST_LOG_SCALE)) / 2
    return torch.stack([x - half_w, y - half_h, x + half_w, y + half_h], -1)


def _centre_and_side(box: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Centre and side lengths; a side of nothing counts as a thousandth of a pixel, so that logarithms stay finite."""
    x0, y0, x1, y1 = box.unbind(-1)
    return (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0).clamp(min=1e-3), (y1 - y0).clamp(min=1e-3)
