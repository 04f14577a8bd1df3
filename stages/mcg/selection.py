"""Diversification: the candidates in order of score without those that a better one already covers."""

import numba
import numpy as np


@numba.njit(cache=True)
def suppress(box: np.ndarray, order: np.ndarray, threshold: float, limit: int) -> np.ndarray:
    """Greedy non-maximum suppression: indices (K <= limit,) int64 of `box` (M, 4), visited in `order`.

    A candidate falls if its IoU with one already kept is above `threshold`.
    """
    kept = np.empty(limit, np.int64)
    kept_box, kept_area = np.empty((limit, 4)), np.empty(limit)
    count = 0
    for i in order:
        if count == limit:
            break
        x0, y0, x1, y1 = box[i, 0], box[i, 1], box[i, 2], box[i, 3]
        area = (x1 - x0) * (y1 - y0)
        free = True
        for k in range(count):
            if kept_area[k] < threshold * area or area < threshold * kept_area[k]:
                continue
            width = min(x1, kept_box[k, 2]) - max(x0, kept_box[k, 0])
            height = min(y1, kept_box[k, 3]) - max(y0, kept_box[k, 1])
            if width > 0 and height > 0 and width * height * (1 + threshold) > threshold * (area + kept_area[k]):
                free = False
                break
        if free:
            kept[count], kept_area[count] = i, area
            kept_box[count, 0], kept_box[count, 1], kept_box[count, 2], kept_box[count, 3] = x0, y0, x1, y1
            count += 1
    return kept[:count].copy()
