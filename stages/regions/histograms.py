"""Histograms of colours inside compiled loops: (K,) float32 each, with their sums, as all need them.

mean: (3, K) float32, the mean of each colour's pixels; square: (K,) float32, their mean square.
"""

import numpy as np

from stages.compiled import compiled, reordered

LEAST = 1.0
"""A histogram of less is empty: parts of a pixel, from regions cut finer than colours are counted."""


@reordered
def total(a: np.ndarray) -> np.float32:
    """Its sum."""
    total = np.float32(0)
    for k in range(a.size):
        total += a[k]
    return total


@compiled
def subtract(a: np.ndarray, b: np.ndarray, rest: np.ndarray) -> None:
    """Write to `rest` what `a` has more than `b`; conditional values, not max(), for vector code."""
    for k in range(a.size):
        rest[k] = a[k] - b[k] if a[k] > b[k] else np.float32(0)


@reordered
def overlap(a: np.ndarray, total_a: np.float32, b: np.ndarray, total_b: np.float32) -> np.float32:
    """Sum of the smaller shares of two histograms; 0 if one is empty."""
    overlap = np.float32(0)
    if total_a < LEAST or total_b < LEAST:
        return overlap
    to_a, to_b = np.float32(1 / total_a), np.float32(1 / total_b)
    for k in range(a.size):
        x, y = a[k] * to_a, b[k] * to_b
        overlap += x if x < y else y
    return overlap


@reordered
def difference(a: np.ndarray, total_a: np.float32, b: np.ndarray, total_b: np.float32, mean: np.ndarray) -> np.float32:
    """Distance of the mean colours of two histograms; 0 if one is empty."""
    x, y, z = np.float32(0), np.float32(0), np.float32(0)
    if total_a < LEAST or total_b < LEAST:
        return x
    to_a, to_b = np.float32(1 / total_a), np.float32(1 / total_b)
    for k in range(a.size):
        share = a[k] * to_a - b[k] * to_b
        x += share * mean[0, k]
        y += share * mean[1, k]
        z += share * mean[2, k]
    return np.sqrt(x * x + y * y + z * z)


@reordered
def spread(a: np.ndarray, total: np.float32, mean: np.ndarray, square: np.ndarray) -> np.float32:
    """Standard deviation of the colours of a histogram, all planes together; 0 if it is empty."""
    x, y, z, squares = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    if total < LEAST:
        return x
    for k in range(a.size):
        x += a[k] * mean[0, k]
        y += a[k] * mean[1, k]
        z += a[k] * mean[2, k]
        squares += a[k] * square[k]
    variance = (squares - (x * x + y * y + z * z) / total) / total
    return np.sqrt(variance if variance > 0 else np.float32(0))


@compiled
def rarity(whole: np.ndarray) -> np.ndarray:
    """(K,) float32: -log of the share of each word in the whole image."""
    total, rarity = 0.0, np.zeros(whole.size, np.float32)
    for k in range(whole.size):
        total += whole[k]
    for k in range(whole.size):
        if whole[k] > 0:
            rarity[k] = np.log(total / whole[k])
    return rarity


@compiled
def information(a: np.ndarray, total: np.float32, rarity: np.ndarray) -> tuple[np.float32, np.float32]:
    """Entropy of a histogram, and its relative entropy to that of the whole image."""
    entropy, rare = np.float32(0), np.float32(0)
    for k in range(a.size):
        if a[k] > 0:
            share = a[k] / total
            entropy -= share * np.log(share)
            rare += share * rarity[k]
    return entropy, rare - entropy
