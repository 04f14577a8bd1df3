"""Overlapping boxes look at the same object: each mask becomes the weighted vote of the masks of boxes around it."""

import numpy as np
from numba import njit

from stages.regions.iou import box_iou

POWER = 2.0
"""A box's vote weighs its IoU to this power, 1 for the box itself."""


@njit(cache=True)
def vote(masks: np.ndarray, boxes: np.ndarray, least_iou: float) -> np.ndarray:
    """Masks (n, S, S) bool after one vote. masks: (n, S, S) bool in the frames of `boxes` (n, 4) float64 xyxy.

    In each cell all boxes vote that have IoU >= `least_iou` with the cell's box and contain the cell's centre. A mask
    that loses all its cells stays as it was.
    """
    count, side = masks.shape[0], masks.shape[1]
    voted = np.empty_like(masks)
    for i in range(count):
        won, cast = np.zeros((side, side)), np.zeros((side, side))
        for j in range(count):
            iou = 1.0 if j == i else box_iou(boxes[i], boxes[j])
            if iou >= least_iou:
                _cast(masks[j], boxes[j], boxes[i], iou**POWER, won, cast)
        voted[i] = 2 * won > cast
        if not voted[i].any():
            voted[i] = masks[i]
    return voted


@njit(cache=True)
def _cast(
    mask: np.ndarray, box: np.ndarray, frame: np.ndarray, weight: float, won: np.ndarray, cast: np.ndarray
) -> None:
    """Add the votes of `mask` in `box` at the centres of the cells of `frame`."""
    side = mask.shape[0]
    for i in range(side):
        y = frame[1] + (i + 0.5) / side * (frame[3] - frame[1])
        row = int(np.floor((y - box[1]) / (box[3] - box[1]) * side))
        if row < 0 or row >= side:
            continue
        for j in range(side):
            x = frame[0] + (j + 0.5) / side * (frame[2] - frame[0])
            column = int(np.floor((x - box[0]) / (box[2] - box[0]) * side))
            if 0 <= column < side:
                cast[i, j] += weight
                if mask[row, column]:
                    won[i, j] += weight
