"""Box arithmetic on tensors, as `data.boxes` does it on arrays: xyxy, half-open, pixels; differentiable."""

import math

import torch
from torch import Tensor

_LARGEST_LOG_SCALE = math.log(1000 / 16)
"""Cap of dw and dh, as in Fast R-CNN's successors, so that exp() stays finite."""

CENTRE_WEIGHT, SIDE_WEIGHT = 10.0, 5.0
"""Scale of the regression targets (dx, dy) and (dw, dh), as in Fast R-CNN."""


def area(box: Tensor) -> Tensor:
    """(..., 4) -> (...); boxes of negative side have area 0."""
    return _product((box[..., 2:] - box[..., :2]).clamp(min=0))


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of every box in `a` (..., N, 4) with every box in `b` (..., M, 4): (..., N, M); 0 where a box has no area."""
    a, b = a[..., :, None, :], b[..., None, :, :]
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    intersection = _product((high - low).clamp(min=0))
    # sides of nothing count as a millionth of a pixel, so that nothing is divided by 0
    area_a, area_b = (_product((box[..., 2:] - box[..., :2]).clamp(min=1e-6)) for box in (a, b))
    return intersection / (area_a + area_b - intersection)


def clip(box: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) clipped to an image of `size` (height, width)."""
    height, width = size
    return torch.stack([box[..., 0::2].clamp(0, width), box[..., 1::2].clamp(0, height)], -1).flatten(-2)


def encode(source: Tensor, target: Tensor) -> Tensor:
    """Weighted deltas (dx, dy, dw, dh) that move `source` boxes (..., 4) onto `target` boxes (..., 4)."""
    (source_centre, source_side), (centre, side) = _centre_and_side(source), _centre_and_side(target)
    move = CENTRE_WEIGHT * (centre - source_centre) / source_side
    return torch.cat([move, SIDE_WEIGHT * torch.log(side / source_side)], -1)


def decode(source: Tensor, delta: Tensor) -> Tensor:
    """The inverse of `encode`: boxes (..., 4) from source boxes and deltas (broadcast against each other)."""
    centre, side = _centre_and_side(source)
    centre = torch.addcmul(centre, delta[..., :2], side, value=1 / CENTRE_WEIGHT)
    side = side * torch.exp((delta[..., 2:] / SIDE_WEIGHT).clamp(max=_LARGEST_LOG_SCALE))
    return torch.cat([torch.sub(centre, side, alpha=0.5), torch.add(centre, side, alpha=0.5)], -1)


def _centre_and_side(box: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and side lengths (..., 2) each, x first; a side of nothing counts as a thousandth of a pixel, so that
    logarithms stay finite."""
    low, high = box[..., :2], box[..., 2:]
    return torch.lerp(low, high, 0.5), (high - low).clamp(min=1e-3)


def _product(side: Tensor) -> Tensor:
    """(..., 2) -> (...)."""
    return side[..., 0] * side[..., 1]
