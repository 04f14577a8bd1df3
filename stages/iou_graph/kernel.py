"""Compiled loop of the IoU graph; imported on first use only, because numba is slow to load."""

import numpy as np

from stages.compiled import compiled

BINS = 1024
"""Bins of the histogram that finds the K-th largest IoU without sorting a whole row."""


@compiled
def nearest_by_iou(
    boxes: np.ndarray, neighbors: int, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # pragma: no cover - compiled
    """For each of `boxes` (n, 4) float64: order (n, K) int64, IoU (n, K) float64, degree (n,) int64.

    The arithmetic is that of torchvision's `box_iou` in float64, operation by operation, save that 0 / 0 is 0.
    """
    n = boxes.shape[0]
    order = np.zeros((n, neighbors), np.int64)
    exact = np.zeros((n, neighbors))
    degree = np.zeros(n, np.int64)
    x0, y0, x1, y1 = boxes[:, 0].copy(), boxes[:, 1].copy(), boxes[:, 2].copy(), boxes[:, 3].copy()
    area = (x1 - x0) * (y1 - y0)
    for i in range(n):  # a box turned inside out has no area; it must not lend a negative one to a union
        if not (x1[i] > x0[i] and y1[i] > y0[i]):
            area[i] = 0.0
            x1[i], y1[i] = x0[i], y0[i]
    row = np.empty(n)
    histogram = np.empty(BINS + 1, np.int64)
    for i in range(n):
        for j in range(n):
            w = max(min(x1[i], x1[j]) - max(x0[i], x0[j]), 0.0)
            h = max(min(y1[i], y1[j]) - max(y0[i], y0[j]), 0.0)
            inter = w * h
            row[j] = inter / max(area[i] + area[j] - inter, 1e-300)
        row[i] = 1.0
        histogram[:] = 0
        for j in range(n):
            histogram[int(row[j] * BINS)] += 1
            degree[i] += row[j] >= threshold
        level, above = BINS, histogram[BINS]
        while above < neighbors and level > 0:
            level -= 1
            above += histogram[level]
        order[i, 0], exact[i, 0] = i, 1.0
        count = 1
        for j in range(n):
            if row[j] > 0.0 and j != i and int(row[j] * BINS) >= level:
                count = _insert(order[i], exact[i], count, j, row[j])
    return order, exact, degree


@compiled
def _insert(order: np.ndarray, exact: np.ndarray, count: int, other: int, iou: float) -> int:  # pragma: no cover
    """Put `other` behind all of at least its IoU among the `count` found, or leave it out. Returns how many there are.

    order, exact: (K,), the box itself first, then the others by falling IoU.
    """
    full = count == len(order)
    if full and iou <= exact[count - 1]:
        return count
    k = count - 1 if full else count
    while k > 1 and exact[k - 1] < iou:
        order[k], exact[k] = order[k - 1], exact[k - 1]
        k -= 1
    order[k], exact[k] = other, iou
    return len(order) if full else count + 1
