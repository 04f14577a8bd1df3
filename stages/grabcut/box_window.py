"""A box and its margin, resampled to cells."""

from typing import NamedTuple

import numpy as np
from numba import njit

from data.masks import MASK_SIDE

MARGIN = 8
"""Cells of context around the box's 56: 14 % of its side. What is seen there is background."""

SUPPORT = 0.8
"""The pyramid level is the coarsest that still has this many pixels per cell on the box's shorter side."""


class BoxWindow(NamedTuple):
    """The cells of one box. S = 56.

    rgb: (S, S, 3) float32. word: (S, S) uint8.
    outside: (K,) float64, counts of words in the part of the margin inside the image.
    """

    rgb: np.ndarray
    word: np.ndarray
    outside: np.ndarray


def sample_window(pyramid: tuple[np.ndarray, ...], box: np.ndarray, table: np.ndarray, words: int) -> BoxWindow:
    """Cells of `box` (4,) float64 xyxy in pixels of pyramid[0]; `table` (32^3,) is the colour word of an RGB value."""
    height, width = pyramid[0].shape[:2]
    shorter = min(box[2] - box[0], box[3] - box[1])
    level = 0
    while level + 1 < len(pyramid) and shorter / 2 ** (level + 1) >= SUPPORT * MASK_SIDE:
        level += 1
    return BoxWindow(*_sample(pyramid[level], float(height), float(width), box, table, words, MASK_SIDE, MARGIN))


@njit(cache=True)
def _sample(
    source: np.ndarray,
    height: float,
    width: float,
    box: np.ndarray,
    table: np.ndarray,
    words: int,
    side: int,
    margin: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bilinear samples of `source`, a scaled copy of an image of (height, width), at the centres of the cells."""
    rgb, word, outside = np.empty((side, side, 3), np.float32), np.empty((side, side), np.uint8), np.zeros(words)
    colour = np.empty(3, np.float32)
    step_y, step_x = (box[3] - box[1]) / side, (box[2] - box[0]) / side
    rows, columns = source.shape[:2]
    for i in range(side + 2 * margin):
        y = box[1] + (i - margin + 0.5) * step_y
        v = min(max(y * rows / height - 0.5, 0.0), rows - 1.0)
        top = int(v)
        below, down = min(top + 1, rows - 1), np.float32(v - top)
        for j in range(side + 2 * margin):
            x = box[0] + (j - margin + 0.5) * step_x
            u = min(max(x * columns / width - 0.5, 0.0), columns - 1.0)
            left = int(u)
            beside, right = min(left + 1, columns - 1), np.float32(u - left)
            index = 0
            for c in range(3):
                above_row = source[top, left, c] + right * (float(source[top, beside, c]) - source[top, left, c])
                below_row = source[below, left, c] + right * (float(source[below, beside, c]) - source[below, left, c])
                colour[c] = above_row + down * (below_row - above_row)
                index = index * 32 + (int(colour[c] + 0.5) >> 3)
            if margin <= i < margin + side and margin <= j < margin + side:
                rgb[i - margin, j - margin] = colour
                word[i - margin, j - margin] = table[index]
            elif 0 <= y < height and 0 <= x < width:
                outside[table[index]] += 1
    return rgb, word, outside


@njit(cache=True)
def sample_nearest(
    source: np.ndarray, scale_y: float, scale_x: float, box: np.ndarray, side: int, rim: int
) -> np.ndarray:
    """Values of `source` (h, w) at the centres of the cells of `box` and of `rim` cells around it.

    scale: pixels of `source` per unit of the box. Centres outside take the nearest pixel. (side + 2 rim,) squared.
    """
    rows, columns = source.shape
    sampled = np.empty((side + 2 * rim, side + 2 * rim), source.dtype)
    for i in range(side + 2 * rim):
        y = (box[1] + (i - rim + 0.5) * (box[3] - box[1]) / side) * scale_y
        v = int(min(max(y, 0.0), rows - 1.0))
        for j in range(side + 2 * rim):
            x = (box[0] + (j - rim + 0.5) * (box[2] - box[0]) / side) * scale_x
            sampled[i, j] = source[v, int(min(max(x, 0.0), columns - 1.0))]
    return sampled
