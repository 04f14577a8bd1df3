"""Which rows of integers are equal."""

import numpy as np

from stages.compiled import compiled


def equal_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Groups of equal rows of the integers `rows` (M, C), numbered from 0 as they first occur.

    Returns the first row of each group, rising, and the group of each row (M,), int64 both.
    """
    return _group(row_keys(rows))


def row_keys(rows: np.ndarray) -> np.ndarray:
    """One uint64 for each row of integers (M, C): equal rows have equal keys, others (but for one pair in 2^64) not."""
    key = np.zeros(len(rows), np.uint64)
    for column in rows.T.astype(np.int64).astype(np.uint64):
        key = (key ^ column) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


@compiled
def _group(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`equal_rows` of their keys, by a table of groups, half empty: a key lies at its own place or soon after."""
    size = 2
    while size < 2 * key.size:
        size *= 2
    table = np.full(size, -1, np.int64)
    first, group = np.empty(key.size, np.int64), np.empty(key.size, np.int64)
    groups = 0
    for i in range(key.size):
        place = np.int64(key[i] & np.uint64(size - 1))
        while table[place] >= 0 and key[first[table[place]]] != key[i]:
            place = (place + 1) & (size - 1)
        if table[place] < 0:
            table[place] = groups
            first[groups] = i
            groups += 1
        group[i] = table[place]
    return first[:groups], group
