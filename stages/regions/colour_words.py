"""The colours of an image as a few words, and how often each is found in boxes and regions.

Histograms of words add up: over boxes by an integral image, over regions from the leaves of a hierarchy upwards.
"""

from typing import NamedTuple

import cv2
import numpy as np

from stages.compiled import compiled
from stages.regions.contour import LAB_UNIT, resize_long_side
from stages.regions.hierarchy import sum_up
from stages.regions.region_tree import RegionTree

SIDE = 260
"""Long side in pixels of the copy of the image whose colours are counted."""

WORDS = 32
"""Colours that an image is described by, at most."""

LEVELS = (6, 5, 5)
"""Of L, a and b: the cells that words are chosen from."""

CHROMA_STEP = 12
"""Width of a cell in a and b, in units of OpenCV's 8-bit Lab; the middle cell is grey, the outer ones are open."""


class ColourWords(NamedTuple):
    """The colours of an image, K of them.

    word: (h, w) uint8, the colour of each pixel of a small copy; integral: (h + 1, w + 1, K) int32, at (y, x) how often
    each is found above and on the left of it. mean: (K, 3) float32, the mean of its pixels, Lab in units of LAB_UNIT;
    square: (K,) float32, mean square of the same.
    """

    word: np.ndarray
    integral: np.ndarray
    mean: np.ndarray
    square: np.ndarray


def colour_words(image: np.ndarray) -> ColourWords:
    """Words of `image` (H, W, 3) uint8 RGB: its most frequent cells of colour; others join the nearest of these."""
    lab = cv2.cvtColor(resize_long_side(image, SIDE), cv2.COLOR_RGB2LAB)
    cell, count, total, square = _cells(lab)
    mean = total / np.maximum(count, 1)[:, None]
    kept = np.sort(np.argsort(-count, kind="stable")[: min(WORDS, np.count_nonzero(count))])
    nearest = ((mean[:, None] - mean[kept]) ** 2).sum(2).argmin(1).astype(np.uint8)
    word = nearest[cell]
    count, square = (np.bincount(nearest, values, len(kept)) for values in (count, square))
    mean = np.stack([np.bincount(nearest, plane, len(kept)) for plane in total.T], 1) / count[:, None]
    return ColourWords(word, _integral(word, len(kept)), mean.astype(np.float32), (square / count).astype(np.float32))


@compiled
def _cells(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of `lab` (h, w, 3) uint8 the cell of each pixel (h, w) uint8; of the cells how many pixels each has, and the sums
    of their colours (cells, 3) and of the squares of these."""
    height, width = lab.shape[:2]
    cells = LEVELS[0] * LEVELS[1] * LEVELS[2]
    cell = np.empty((height, width), np.uint8)
    count, total, square = np.zeros(cells), np.zeros((cells, 3)), np.zeros(cells)
    for y in range(height):
        for x in range(width):
            place = lab[y, x, 0] * LEVELS[0] // 256
            for c in range(1, 3):
                step = (lab[y, x, c] - 128 + CHROMA_STEP * LEVELS[c] // 2) // CHROMA_STEP
                place = place * LEVELS[c] + min(max(step, 0), LEVELS[c] - 1)
            cell[y, x] = place
            count[place] += 1
            for c in range(3):
                value = lab[y, x, c] / LAB_UNIT[c]
                total[place, c] += value
                square[place] += value**2
    return cell, count, total, square


def node_histograms(words: ColourWords, tree: RegionTree, labels: np.ndarray) -> np.ndarray:
    """(N, K) float32: area of each word in each node of `tree`, in pixels of `words`.

    labels: (H, W) int32 superpixels.
    """
    leaf = _leaf_histograms(words.word, tree.leaf_of[labels], tree.leaves, len(words.square))
    columns = [sum_up(tree.parent, np.arange(tree.leaves), column) for column in np.ascontiguousarray(leaf.T)]
    return np.stack(columns, 1).astype(np.float32)


@compiled
def _integral(word: np.ndarray, words: int) -> np.ndarray:
    """(h + 1, w + 1, words) int32: at (y, x) how often each word is found above and on the left of it."""
    height, width = word.shape
    integral, row = np.zeros((height + 1, width + 1, words), np.int32), np.zeros(words, np.int32)
    for y in range(height):
        for k in range(words):
            row[k] = 0
        for x in range(width):
            row[word[y, x]] += 1
            for k in range(words):
                integral[y + 1, x + 1, k] = integral[y, x + 1, k] + row[k]
    return integral


@compiled
def _leaf_histograms(word: np.ndarray, leaf: np.ndarray, leaves: int, words: int) -> np.ndarray:
    """(leaves, words) float64: area of each word in each leaf of `leaf` (H, W), in pixels of `word` (h, w)."""
    height, width = leaf.shape
    histogram = np.zeros((leaves, words))
    share = word.size / leaf.size
    for y in range(height):
        row = y * word.shape[0] // height
        for x in range(width):
            histogram[leaf[y, x], word[row, x * word.shape[1] // width]] += share
    return histogram
