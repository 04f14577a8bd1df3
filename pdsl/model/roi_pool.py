"""RoIPool without gradients by table look-up: as torchvision's to the last bit, at a fixed cost a bin.

torchvision's loop visits every cell of every box. Here the maxima of all windows of 2^i x 2^j cells are computed once
for a map (a sparse table, as for range minimum queries); any bin is the maximum of four of them, which may overlap.
"""

import torch
from torch import Tensor

CHANNELS = 32
"""Channels that are looked up at a time: their table stays within a core's cache, its memory is used again."""


def roi_pool_values(features: Tensor, box: Tensor, side: int, scale: float) -> Tensor:
    """What `torchvision.ops.roi_pool` returns, without a graph for gradients.

    features: (1, D, h, w) of any floating type, on the CPU; box: (P, 4) float32 or float64 xyxy in pixels of the image,
    not negative. Returns (P, D, side, side) in the features' type.
    """
    _, channels, height, width = features.shape
    corner = box.detach() * scale
    left, right = _bins(corner[:, 0], corner[:, 2], width, side)
    top, bottom = _bins(corner[:, 1], corner[:, 3], height, side)
    across, down = _exponent(right - left), _exponent(bottom - top)
    shape = (_levels(down), _levels(across))
    level = (down[:, :, None] * shape[1] + across[:, None, :]) * (height * width)
    rows = top.clamp(max=height - 1), (bottom - 2**down).clamp(min=0)
    columns = left.clamp(max=width - 1), (right - 2**across).clamp(min=0)
    first, *others = ((level + y[:, :, None] * width + x[:, None, :]).flatten() for y in rows for x in columns)
    pooled = features.new_empty(len(box), channels, side * side)
    for some in range(0, channels, CHANNELS):
        cells = features.detach()[0, some : some + CHANNELS].permute(1, 2, 0).contiguous()
        table = _window_maxima(cells, *shape).view(-1, cells.shape[-1])
        value = table.index_select(0, first)
        for window in others:
            torch.maximum(value, table.index_select(0, window), out=value)
        pooled[:, some : some + CHANNELS] = value.view(-1, side * side, cells.shape[-1]).transpose(1, 2)
    empty = (right <= left)[:, None, :] | (bottom <= top)[:, :, None]
    pooled = pooled.view(-1, channels, side, side)
    return pooled.masked_fill_(empty[:, None], 0) if empty.any() else pooled


def _bins(low: Tensor, high: Tensor, limit: int, side: int) -> tuple[Tensor, Tensor]:
    """First cell and the cell behind the last of each bin along one axis, (P, side) int64 each, within 0..limit.

    low, high: (P,) in cells. Rounding and order of operations are torchvision's.
    """
    start, end = _round_half_up(low), _round_half_up(high)
    size = (end - start + 1).clamp(min=1).to(low.dtype) / side
    edge = torch.arange(side + 1).to(low.dtype)
    first = (edge[:-1] * size[:, None]).floor().to(torch.int64) + start[:, None]
    behind = (edge[1:] * size[:, None]).ceil().to(torch.int64) + start[:, None]
    return first.clamp(0, limit), behind.clamp(0, limit)


def _round_half_up(x: Tensor) -> Tensor:
    """C's `round` for numbers that are not negative (torch's rounds halves to even)."""
    whole = x.floor()
    return (whole + (x - whole >= 0.5)).to(torch.int64)


def _exponent(length: Tensor) -> Tensor:
    """The largest k with 2^k <= length; 0 for an empty bin."""
    return torch.frexp(length.clamp(min=1).to(torch.float64)).exponent.to(torch.int64) - 1


def _levels(exponent: Tensor) -> int:
    return int(exponent.max()) + 1 if exponent.numel() else 1


def _window_maxima(cells: Tensor, down: int, across: int) -> Tensor:
    """(h, w, D) -> (down, across, h, w, D): at [i, j, y, x] the maximum of the 2^i x 2^j cells from (y, x) on.

    Windows that pass the map's edge hold anything and are never asked for.
    """
    height, width, _ = cells.shape
    table = cells.new_empty(down, across, *cells.shape)
    table[0, 0] = cells
    for j in range(1, across):
        half, count = 2 ** (j - 1), width - 2**j + 1
        narrow = table[0, j - 1]
        torch.maximum(narrow[:, :count], narrow[:, half : half + count], out=table[0, j, :, :count])
    for i in range(1, down):
        half, count = 2 ** (i - 1), height - 2**i + 1
        low = table[i - 1]
        torch.maximum(low[:, :count], low[:, half : half + count], out=table[i, :, :count])
    return table
