"""Diversification: which proposals together cover the most objects.

Every candidate stands for a hypothetical object at its place, with a weight (the expected number of objects there). A
selection gains, for each hypothesis, the credit of the best IoU reached; the gain of one more proposal therefore falls
with what is already covered. The greedy choice is within 1 - 1/e of the best selection (Nemhauser et al. 1978), keeps
apart what non-maximum suppression keeps apart, and favours the box in the middle of many likely ones.
"""

from typing import NamedTuple

import numpy as np

from stages.compiled import compiled, inlined
from stages.regions.equal_rows import equal_rows
from stages.regions.heap import heap_of, sink, take_first

LEAST_IOU = 0.5
FULL_IOU = 0.95
"""A hypothesis covered with IoU u earns the square root of (u - LEAST_IOU) / (FULL_IOU - LEAST_IOU), at most 1."""

MERGED_STEP = 0.1
"""Boxes whose corners agree within about this share of their sides count as one."""


class Overlaps(NamedTuple):
    """For each of n boxes those of IoU > LEAST_IOU with it, itself included: `other[start[i] : start[i + 1]]`."""

    start: np.ndarray
    other: np.ndarray
    iou: np.ndarray


def select(box: np.ndarray, weight: np.ndarray, limit: int, pool: int) -> tuple[np.ndarray, np.ndarray]:
    """Greedy choice of at most `limit` of `box` (M, 4), best first.

    weight: (M,) float64, expected number of objects at each box; only the `pool` heaviest distinct boxes take part.
    Returns indices (K,) int64 and the gain of each (K,) float64, never rising.
    """
    kept, merged = merge_duplicates(box, weight, pool)
    overlaps = find_overlaps(box[kept])
    credit = np.sqrt(np.clip((overlaps.iou - LEAST_IOU) / (FULL_IOU - LEAST_IOU), 0, 1))
    chosen, gain = _greedy_cover(overlaps.start, overlaps.other, credit, merged, limit)
    return kept[chosen], gain


def merge_duplicates(box: np.ndarray, weight: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The heaviest box of each group of almost equal ones, heaviest first, at most `limit`: indices, summed weights."""
    order = np.argsort(-weight, kind="stable")
    corners = box[order].astype(np.float64)
    octave = np.floor(2 * np.log2(np.maximum(corners[:, 2:] - corners[:, :2], 1e-3)))
    cell = np.tile(MERGED_STEP * 2 ** (octave / 2), 2)
    first, group = equal_rows(np.concatenate([octave, np.round(corners / cell)], 1))
    return order[first[:limit]], np.bincount(group, weight[order])[:limit]


def find_overlaps(box: np.ndarray) -> Overlaps:
    """Pairs of `box` (n, 4) with IoU > LEAST_IOU, boxes in order of area. Returns them in the given numbering."""
    corners = box.astype(np.float32)
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    order = np.argsort(area, kind="stable")
    return Overlaps(*_overlaps(np.ascontiguousarray(corners[order].T), area[order], order))


@compiled
def _overlaps(box: np.ndarray, area: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of a sparse matrix from `box` (4, n), sorted by `area`: each box itself first, then by rising area."""
    count = area.size
    pairs, smaller, larger, value = _pairs(box, area)
    start = np.ones(count + 1, np.int64)
    start[0] = 0
    for p in range(pairs):
        start[order[smaller[p]] + 1] += 1
        start[order[larger[p]] + 1] += 1
    start = np.cumsum(start)
    free = start[:-1].copy()
    other, iou = np.empty(start[-1], np.int32), np.empty(start[-1], np.float32)
    for i in range(count):
        other[free[i]], iou[free[i]] = i, 1
        free[i] += 1
    for p in range(pairs):
        a, b = order[smaller[p]], order[larger[p]]
        other[free[a]], iou[free[a]] = b, value[p]
        other[free[b]], iou[free[b]] = a, value[p]
        free[a] += 1
        free[b] += 1
    return start, other, iou


@compiled
def _pairs(box: np.ndarray, area: np.ndarray) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of boxes with IoU > 1/2: how many, and of each the smaller, the larger and their IoU.

    The arrays are longer than there are pairs.
    """
    count, pairs = area.size, 0
    common = np.empty(count, np.float32)
    smaller, larger, iou = _pair_columns(16 * count)
    for i in range(count):
        end = _intersect(i, box, area, common)
        if pairs + end - i > smaller.size:
            before = smaller, larger, iou
            smaller, larger, iou = _pair_columns(2 * smaller.size + end - i)
            for p in range(pairs):
                smaller[p], larger[p], iou[p] = before[0][p], before[1][p], before[2][p]
        for j in range(i + 1, end):
            if common[j] * np.float32(3) > area[i] + area[j]:  # IoU > 1/2 as 3 x intersection > sum of areas
                smaller[pairs], larger[pairs] = i, j
                iou[pairs] = common[j] / (area[i] + area[j] - common[j])
                pairs += 1
    return pairs, smaller, larger, iou


@inlined
def _pair_columns(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.float32)


@compiled
def _intersect(i: int, box: np.ndarray, area: np.ndarray, common: np.ndarray) -> int:
    """Intersection of box i with each later one of less than twice its area, into `common`; returns their end."""
    left, top, right, bottom = box[0], box[1], box[2], box[3]
    x0, y0, x1, y1 = left[i], top[i], right[i], bottom[i]
    end = np.searchsorted(area, area[i] * np.float32(2))
    for j in range(i + 1, end):  # conditional values, not min() and max(), which numba does not turn into vector code
        width = (x1 if x1 < right[j] else right[j]) - (x0 if x0 > left[j] else left[j])
        height = (y1 if y1 < bottom[j] else bottom[j]) - (y0 if y0 > top[j] else top[j])
        common[j] = (width if width > 0 else np.float32(0)) * (height if height > 0 else np.float32(0))
    return end


@compiled
def _greedy_cover(
    start: np.ndarray, other: np.ndarray, credit: np.ndarray, weight: np.ndarray, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Lazy greedy maximisation of sum_j weight_j max_i credit_ij. Ties go to the lower index."""
    count = weight.size
    chosen, gain = np.empty(min(limit, count), np.int64), np.empty(min(limit, count))
    covered = np.zeros(count)
    loss = np.empty(count)
    for i in range(count):
        loss[i] = -_gain(i, start, other, credit, weight, covered)
    heap, place = heap_of(loss)
    picked = 0
    while picked < chosen.size:
        i = heap[0]
        loss[i] = -_gain(i, start, other, credit, weight, covered)
        sink(heap, place, loss, 0, count - picked)
        if heap[0] != i:
            continue  # the gains of the others are upper bounds: they can only have fallen as well
        take_first(heap, place, loss, count - picked)
        chosen[picked], gain[picked] = i, -loss[i]
        picked += 1
        for e in range(start[i], start[i + 1]):
            covered[other[e]] = max(covered[other[e]], credit[e])
    return chosen[:picked], gain[:picked]


@compiled
def _gain(
    i: int, start: np.ndarray, other: np.ndarray, credit: np.ndarray, weight: np.ndarray, covered: np.ndarray
) -> float:
    total = 0.0
    for e in range(start[i], start[i + 1]):
        total += weight[other[e]] * max(credit[e] - covered[other[e]], 0.0)
    return total
