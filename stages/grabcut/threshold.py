"""Which cells to call foreground so that the expected IoU with the object is greatest, and how great it is."""

import numpy as np

from stages.compiled import compiled

REACH = 12.0
"""Log odds beyond +-REACH count as REACH: six parts in a million."""

STEP = 0.02
"""Log odds that differ by less are told apart no further."""

LEVELS = int(2 * REACH / STEP) + 1
PROBABILITY = 1 / (1 + np.exp(-(np.arange(LEVELS) * STEP - REACH)))
"""(LEVELS,) of each level of log odds."""


@compiled
def best_threshold(evidence: np.ndarray) -> tuple[int, float]:
    """The level of log odds (see `level_of`) from which on cells are foreground, and the IoU to expect.

    evidence: (S, S) float32 log odds. With cells independent, k of them chosen and p their probabilities, the expected
    IoU is close to sum(p chosen) / (k + sum(p not chosen)); the best choice of k cells takes the likeliest. The
    threshold lies below even odds in unclear boxes, where a cell too many costs less than one too few.
    """
    count = np.zeros(LEVELS, np.int64)
    total = 0.0
    for y in range(evidence.shape[0]):
        for x in range(evidence.shape[1]):
            level = level_of(evidence[y, x])
            count[level] += 1
            total += PROBABILITY[level]
    best, expected, chosen, cells = LEVELS - 1, -1.0, 0.0, 0
    for level in range(LEVELS - 1, -1, -1):
        if count[level] == 0:
            continue
        chosen += count[level] * PROBABILITY[level]
        cells += count[level]
        iou = chosen / (cells + total - chosen)
        if iou > expected:
            best, expected = level, iou
    return best, expected


@compiled
def level_of(log_odds: float) -> int:
    """The level of `log_odds`: 0 to LEVELS - 1."""
    return int(min(max((log_odds + REACH) / STEP + 0.5, 0.0), LEVELS - 1.0))
