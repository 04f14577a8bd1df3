"""Objectness of candidates: a hand-made score, no training."""

import numba
import numpy as np

from stages.mcg.features import Candidates


def objectness(candidates: Candidates) -> np.ndarray:
    """Score of each candidate, higher is better: (M,) float32.

    Early splits, strong outlines, weak inner borders, few regions, and boxes that many candidates agree on are good.
    """
    agreement = np.log(box_agreement(candidates.box))
    score = (
        2.0 * candidates.outline
        - candidates.inner
        - np.log1p(candidates.split)
        - 0.3 * candidates.regions
        + 0.5 * agreement
    )
    return score.astype(np.float32)


def box_agreement(box: np.ndarray, cell: float = 0.15) -> np.ndarray:
    """How many boxes share each box's cell of (centre, log size), itself included: (M,) int64.

    Sides are binned by half octaves, centres by `cell` times the binned side.
    """
    side = np.maximum(box[:, 2:] - box[:, :2], 1e-3).astype(np.float64)
    level = np.round(2 * np.log2(side))
    centre = np.round((box[:, :2].astype(np.float64) + box[:, 2:]) / 2 / (cell * 2 ** (level / 2)))
    key = np.concatenate([level, centre], 1).astype(np.int64)
    return _multiplicity(key)


@numba.njit(cache=True)
def _multiplicity(key: np.ndarray) -> np.ndarray:
    """For each row of `key` (M, 4) int64, the number of equal rows."""
    table = dict()
    count = np.zeros(key.shape[0], np.int64)
    for i in range(key.shape[0]):
        row = (key[i, 0], key[i, 1], key[i, 2], key[i, 3])
        count[i] = table.get(row, np.int64(0)) + 1
        table[row] = count[i]
    for i in range(key.shape[0]):
        count[i] = table[(key[i, 0], key[i, 1], key[i, 2], key[i, 3])]
    return count
