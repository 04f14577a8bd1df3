"""Whose mask is whose: instance masks of an image given to its annotated objects (VOC, SBD)."""

from collections.abc import Sequence

import numpy as np

from data.boxes import pairwise_iou
from data.truth import TruthObject

MATCH_IOU = 0.5
NUMBER_BONUS = 1e-3
"""Of two owners that overlap a mask alike, the one of its own number is preferred."""


def owners(objects: Sequence[TruthObject], masks: Sequence[TruthObject], numbers: Sequence[int]) -> list[int | None]:
    """For each mask the index of its object, None for one that is nobody's.

    numbers: of the instances, rising, as the data set has them. Instance k is the k-th object that has a mask, so masks
    go to objects of their class in the annotation's order; of several such ways the one of highest IoU is taken. Where
    there is none (numbers and classes contradict each other), the pairs of highest IoU, 0.5 at least.
    """
    if not objects or not masks:
        return [None] * len(masks)
    iou = pairwise_iou(np.stack([m.box for m in masks]), np.stack([o.box for o in objects]))
    same = np.equal.outer([m.class_id for m in masks], [o.class_id for o in objects])
    own_number = np.equal.outer(np.asarray(numbers), np.arange(1, len(objects) + 1))
    in_order = _in_order(np.where(same, iou + NUMBER_BONUS * own_number, -np.inf))
    return in_order if in_order is not None else _by_overlap(np.where(same, iou, 0))


def _in_order(value: np.ndarray) -> list[int | None] | None:
    """The rising choice of one column a row with the highest sum; None if every choice meets -inf. value: (M, N)."""
    rows, columns = value.shape
    best = np.full((rows + 1, columns + 1), -np.inf)
    best[0] = 0
    for r in range(rows):
        for c in range(r, columns):
            best[r + 1, c + 1] = max(best[r + 1, c], best[r, c] + value[r, c])
    if not np.isfinite(best[rows, columns]):
        return None
    chosen: list[int | None] = []
    c = columns
    for r in range(rows, 0, -1):
        while best[r, c] == best[r, c - 1]:
            c -= 1
        c -= 1
        chosen.append(c)
    return chosen[::-1]


def _by_overlap(iou: np.ndarray) -> list[int | None]:
    """Best pairs first, each object once. iou: (M, N)."""
    found: list[int | None] = [None] * len(iou)
    left = iou.copy()
    while (best := left.max()) >= MATCH_IOU:
        mask, item = (int(i) for i in np.argwhere(left == best)[0])
        found[mask] = item
        left[mask], left[:, item] = 0, 0
    return found
