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
    found = np.empty(n, np.int64)
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
        m = 0
        order[i, 0], exact[i, 0] = i, 1.0
        for j in range(n):
            if row[j] > 0.0 and j != i and int(row[j] * BINS) >= level:
                found[m] = j
                m += 1
        rank = np.argsort(-row[found[:m]], kind="mergesort")  # stable: ties keep the order of the index
        for k in range(min(m, neighbors - 1)):
            order[i, k + 1] = found[rank[k]]
            exact[i, k + 1] = row[found[rank[k]]]
    return order, exact, degree
