"""A label map by its runs, the stretches of a row with one label.

They tell what a box holds of each label without a look at every pixel.
"""

from typing import NamedTuple

import numpy as np

from stages.compiled import compiled


class Runs(NamedTuple):
    """R runs of a map (h, w), from left to right, row by row.

    row: (h + 1,) int64, the runs of row y are row[y] to row[y + 1]. start: (R,) int32, first column; label: (R,) int32.
    """

    row: np.ndarray
    start: np.ndarray
    label: np.ndarray


def find_runs(label: np.ndarray) -> Runs:
    """The runs of `label` (h, w) int32, w at least 1."""
    begins = np.ones(label.shape, bool)
    np.not_equal(label[:, 1:], label[:, :-1], out=begins[:, 1:])
    row = np.concatenate([[0], begins.sum(1).cumsum()])
    place = np.flatnonzero(begins)
    return Runs(row, (place % label.shape[1]).astype(np.int32), label.ravel()[place])


@compiled
def count_inside(runs: Runs, left: int, top: int, right: int, bottom: int, labels: int) -> np.ndarray:
    """(labels,) float64: pixels of each label in the columns `left` to `right` of the rows `top` to `bottom`."""
    count = np.zeros(labels)
    for y in range(top, bottom):
        run, end = runs.row[y], runs.row[y + 1]
        while end - run > 1:  # the last run that starts at `left` or before
            middle = (run + end) // 2
            if runs.start[middle] <= left:
                run = middle
            else:
                end = middle
        x, end = left, runs.row[y + 1]
        while x < right:
            stop = right
            if run + 1 < end and runs.start[run + 1] < right:
                stop = runs.start[run + 1]
            count[runs.label[run]] += stop - x
            x = stop
            run += 1
    return count
