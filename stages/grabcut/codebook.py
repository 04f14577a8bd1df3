"""Colour words of an image and the histogram models over them."""

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from stages.compiled import compiled

SAMPLES = 2500
"""Pixels, evenly spread, from which the words are learnt."""

SOFTNESS = 6.0
"""Standard deviation, in Lab units, by which words lend counts to similar ones: histograms of few cells stay smooth."""

OUTSIDE_SHARE = 0.2
"""Weight of a cell inside the box as background, against 1 for one of the margin, which is background for certain."""

FLOOR = 0.002
"""Added to both frequencies, so that a word that neither side has seen says nothing."""

LEVELS = 32
"""Levels per channel of the table from RGB to word."""

LEVEL_SHIFT = 3
"""Bits of a byte that a level leaves out."""


class Codebook(NamedTuple):
    """K colour words.

    word: (32^3,) uint8, word of an RGB colour by its upper 5 bits per channel, red first.
    affinity: (K, K) float64, columns add up to 1: how a count of one word is spread over similar ones.
    """

    word: np.ndarray
    affinity: np.ndarray

    def words_of(self, image: np.ndarray) -> np.ndarray:
        """(H, W) uint8 words of `image` (H, W, 3) uint8 RGB."""
        level = image.astype(np.int32) >> LEVEL_SHIFT
        return self.word[(level[..., 0] * LEVELS + level[..., 1]) * LEVELS + level[..., 2]]


def build_codebook(lab: np.ndarray, words: int) -> Codebook:
    """At most `words` (<= 256) words by k-means over the pixels of `lab` (h, w, 3) float32; the generator is seeded."""
    pixels = lab.reshape(-1, 3)
    spread = np.linspace(0, len(pixels) - 1, min(len(pixels), SAMPLES)).astype(int)
    sample = np.ascontiguousarray(pixels[spread])
    count = min(words, len(np.unique(sample, axis=0)))
    centre = sample[:1]
    if count > 1:
        cv2.setRNGSeed(0)
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 5, 1.0)
        _, _, centre = cv2.kmeans(sample, count, None, criteria, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    squared = ((centre[:, None].astype(np.float64) - centre[None]) ** 2).sum(2)
    affinity = np.exp(-squared / (2 * SOFTNESS**2))
    return Codebook(_nearest(_table_colours(), centre), affinity / affinity.sum(0))


@cache
def _table_colours() -> np.ndarray:
    """Lab of the middle of each of the 32^3 cells of RGB: (32768, 3) float32."""
    level = (np.arange(LEVELS, dtype=np.float32) + 0.5) / LEVELS
    rgb = np.stack(np.meshgrid(level, level, level, indexing="ij"), -1).reshape(-1, 1, 3)
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).reshape(-1, 3)


@compiled
def _nearest(colour: np.ndarray, centre: np.ndarray) -> np.ndarray:
    found = np.empty(len(colour), np.uint8)
    for i in range(len(colour)):
        best = np.float32(np.inf)
        for k in range(len(centre)):
            a, b, c = colour[i, 0] - centre[k, 0], colour[i, 1] - centre[k, 1], colour[i, 2] - centre[k, 2]
            distance = a * a + b * b + c * c
            if distance < best:
                best = distance
                found[i] = k
    return found


@compiled
def colour_ratio(
    word: np.ndarray, foreground: np.ndarray, margin: int, visible: np.ndarray, affinity: np.ndarray
) -> np.ndarray:
    """Log ratio of each colour word's frequency in the foreground and in the background of a box: (K,) float32.

    word: (G, G) uint8 of the box's cells and of `margin` cells around them, which are background for certain where
    `visible` (G, G) bool, that is within the image. foreground: (G - 2 margin,) squared, probability of each cell.
    """
    words, cells = len(affinity), len(word)
    inner, outer = np.zeros(words), np.zeros(words)
    for y in range(cells):
        for x in range(cells):
            if margin <= y < cells - margin and margin <= x < cells - margin:
                p = foreground[y - margin, x - margin]
                inner[word[y, x]] += p
                outer[word[y, x]] += OUTSIDE_SHARE * (1 - p)
            elif visible[y, x]:
                outer[word[y, x]] += 1
    ratio = np.empty(words, np.float32)
    sum_inner, sum_outer = max(inner.sum(), 1e-9), max(outer.sum(), 1e-9)
    for k in range(words):
        here, there = 0.0, 0.0
        for j in range(words):
            here += affinity[k, j] * inner[j]
            there += affinity[k, j] * outer[j]
        ratio[k] = np.log((here / sum_inner + FLOOR) / (there / sum_outer + FLOOR))
    return ratio
