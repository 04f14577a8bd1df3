"""The score of a proposal: the probability that it overlaps an object by half or more."""

import numpy as np

OFFSET = 0.0205
LOW = 0.2409
HIGH = 1.3558
KNEE = -4.0180
"""Log odds = OFFSET + LOW x + HIGH log(1 + exp(x - KNEE)) of x = log gain. The output of `fit_objectness`."""


def objectness(gain: np.ndarray) -> np.ndarray:
    """P(IoU >= 1/2 with a segment that a person would draw) of proposals, from what each gains in `selection.select`.

    gain: (n,) float64, at least 0. Returns (n,) float64 in [0, 1), rising with the gain; 0 where it is 0.
    """
    with np.errstate(divide="ignore"):
        x = np.log(gain)
    return np.asarray(1 / (1 + np.exp(-log_odds(x, np.array([OFFSET, LOW, HIGH, KNEE])))))


def log_odds(x: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Two straight lines with a smooth knee between them: (n,) float64. coefficients: (4,) as above."""
    offset, low, high, knee = coefficients
    return np.asarray(offset + low * x + high * np.logaddexp(0, x - knee))
