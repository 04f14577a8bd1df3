"""Colour words of an image and the histogram models over them."""

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numba import njit

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


class Codebook(NamedTuple):
    """K colour words.

    word: (32^3,) uint8, word of an RGB colour by its upper 5 bits per channel, red first.
    affinity: (K, K) float64, columns add up to 1: how a count of one word is spread over similar ones.
    """

    word: np.ndarray
    affinity: np.ndarray


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


@njit(cache=True)
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


@njit(cache=True)
def colour_evidence(word: np.ndarray, foreground: np.ndarray, outside: np.ndarray, affinity: np.ndarray) -> np.ndarray:
    """Log ratio of each cell's colour under the foreground and the background histogram.

    word: (S, S) uint8. foreground: (S, S) probability that a cell is foreground.
    outside: (K,) counts of words in the margin around the box. Returns (S, S) float64.
    """
    words = len(outside)
    inner, outer = np.zeros(words), outside.copy()
    rows, columns = word.shape
    for y in range(rows):
        for x in range(columns):
            inner[word[y, x]] += foreground[y, x]
            outer[word[y, x]] += OUTSIDE_SHARE * (1 - foreground[y, x])
    inner = affinity @ (inner / max(inner.sum(), 1e-9))
    outer = affinity @ (outer / max(outer.sum(), 1e-9))
    ratio = np.log((inner + FLOOR) / (outer + FLOOR))
    evidence = np.empty(word.shape)
    for y in range(rows):
        for x in range(columns):
            evidence[y, x] = ratio[word[y, x]]
    return evidence
