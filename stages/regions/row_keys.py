"""Keys by which rows of integers are grouped."""

import numpy as np


def row_keys(rows: np.ndarray) -> np.ndarray:
    """One uint64 for each row of integers (M, C): equal rows have equal keys, others (but for one pair in 2^64) not."""
    key = np.zeros(len(rows), np.uint64)
    for column in rows.T.astype(np.int64).astype(np.uint64):
        key = (key ^ column) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key
