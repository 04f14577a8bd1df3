"""Overlapping boxes look at the same object: the log odds of each cell become a mean over the boxes around it."""

import numpy as np

from stages.compiled import compiled
from stages.grabcut.sampling import cell_index
from stages.regions.iou import box_iou

POWER = 2.0
"""A box's vote weighs its IoU to this power, 1 for the box itself."""


@compiled
def vote(evidence: np.ndarray, confidence: np.ndarray, boxes: np.ndarray, least_iou: float) -> np.ndarray:
    """Log odds (n, S, S) float32 after one vote of those of `boxes` (n, 4) float64 xyxy.

    confidence: (n,) float64, weight of each box. In each cell all boxes vote that have IoU >= `least_iou` with the
    cell's box and contain the cell's centre.
    """
    count, side = evidence.shape[0], evidence.shape[1]
    voted = np.empty_like(evidence)
    cast = np.empty((side, side), np.float32)
    for i in range(count):
        own = np.float32(confidence[i])
        for y in range(side):
            for x in range(side):
                voted[i, y, x] = own * evidence[i, y, x]
                cast[y, x] = own
        for j in range(count):
            iou = 0.0 if j == i else box_iou(boxes[i], boxes[j])
            if iou >= least_iou:
                _cast(evidence[j], boxes[j], boxes[i], np.float32(iou**POWER * confidence[j]), voted[i], cast)
        for y in range(side):
            for x in range(side):
                voted[i, y, x] /= cast[y, x]
    return voted


@compiled
def _cast(
    evidence: np.ndarray, box: np.ndarray, frame: np.ndarray, weight: np.float32, won: np.ndarray, cast: np.ndarray
) -> None:
    """Add the votes of `box` at the centres of the cells of `frame`."""
    side = len(evidence)
    first_row, end_row, rows = _overlap(frame[1], frame[3], box[1], box[3], side)
    first, end, columns = _overlap(frame[0], frame[2], box[0], box[2], side)
    for y in range(first_row, end_row):
        values = evidence[rows[y]]
        for x in range(first, end):
            won[y, x] += weight * values[columns[x]]
            cast[y, x] += weight


@compiled
def _overlap(low: float, high: float, other_low: float, other_high: float, side: int) -> tuple[int, int, np.ndarray]:
    """The cells from `low` to `high` whose centres lie in the other box, first and end, and each one's cell there."""
    shift, unit = other_low, side / (other_high - other_low)
    cell = (high - low) / side
    first = min(max(int(np.ceil((other_low - low) / cell - 0.5)), 0), side)
    end = min(max(int(np.ceil((other_high - low) / cell - 0.5)), first), side)
    return first, end, cell_index(low - shift, high - shift, side, 0, unit, side)
