"""Where the cells of a box lie in maps of the image."""

import numpy as np

from stages.compiled import compiled

SUPPORT = 0.8
"""A map is read at the coarsest halving that still has this many pixels per cell on the box's shorter side."""


@compiled
def cell_index(low: float, high: float, cells: int, rim: int, scale: float, length: int) -> np.ndarray:
    """Pixels, of `length` along an axis, that hold the centres of `cells` between `low` and `high` and `rim` beyond.

    scale: pixels per unit of `low` and `high`. Centres outside take the nearest pixel. (cells + 2 rim,) int64.
    """
    index = np.empty(cells + 2 * rim, np.int64)
    for i in range(len(index)):
        centre = (low + (i - rim + 0.5) / cells * (high - low)) * scale
        index[i] = int(min(max(centre, 0.0), length - 1.0))
    return index


@compiled
def seen(low: float, high: float, cells: int, rim: int, length: int) -> np.ndarray:
    """Which of those centres lie within an image of `length`: (cells + 2 rim,) bool."""
    inside = np.empty(cells + 2 * rim, np.bool_)
    for i in range(len(inside)):
        centre = low + (i - rim + 0.5) / cells * (high - low)
        inside[i] = 0 <= centre < length
    return inside


@compiled
def halvings(shorter: float, cells: int, levels: int) -> int:
    """Which of `levels` halvings a box reads whose shorter side has `shorter` pixels at level 0."""
    level = 0
    while level + 1 < levels and shorter / 2 ** (level + 1) >= SUPPORT * cells:
        level += 1
    return level


@compiled
def upsampled(value: np.ndarray, factor: int) -> np.ndarray:
    """Bilinear between the centres of the cells of `value` (n, n) float32, constant outside: (n factor, n factor)."""
    n = value.shape[0]
    first, share = np.empty(n * factor, np.int64), np.empty(n * factor, np.float32)
    for i in range(n * factor):
        place = min(max((i + 0.5) / factor - 0.5, 0.0), n - 1.0)
        first[i] = min(int(place), n - 2)
        share[i] = place - first[i]
    wide = np.empty((n, n * factor), np.float32)
    for y in range(n):
        for x in range(n * factor):
            left = value[y, first[x]]
            wide[y, x] = left + share[x] * (value[y, first[x] + 1] - left)
    fine = np.empty((n * factor, n * factor), np.float32)
    for y in range(n * factor):
        above, below, down = wide[first[y]], wide[first[y] + 1], share[y]
        for x in range(n * factor):
            fine[y, x] = above[x] + down * (below[x] - above[x])
    return fine


@compiled
def blurred(value: np.ndarray, smooth: np.ndarray) -> None:
    """Write to `smooth` the `value` (n, n) float32, smoothed by the binomial (1, 4, 6, 4, 1) / 16 both ways.

    Edge cells are repeated outside. Its standard deviation is 1 cell.
    """
    n = len(value)
    wide = np.empty((n, n), np.float32)
    four, six, unit = np.float32(4), np.float32(6), np.float32(1 / 256)
    for y in range(n):
        row = value[y]
        for x in range(n):
            a, b, c, d = max(x - 2, 0), max(x - 1, 0), min(x + 1, n - 1), min(x + 2, n - 1)
            wide[y, x] = row[a] + row[d] + four * (row[b] + row[c]) + six * row[x]
    for y in range(n):
        a, b, c, d = wide[max(y - 2, 0)], wide[max(y - 1, 0)], wide[min(y + 1, n - 1)], wide[min(y + 2, n - 1)]
        here = wide[y]
        for x in range(n):
            smooth[y, x] = unit * (a[x] + d[x] + four * (b[x] + c[x]) + six * here[x])
