"""A binary heap of numbers by their keys, the least key first, ties to the lower number; keys may change.

Arrays in place of Python's `heapq` in compiled loops: a changed key moves its one entry instead of adding another, and
numba has no lists of tuples to compile.
"""

import numpy as np

from stages.compiled import compiled


@compiled
def heap_of(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All numbers of `key` (n,) float64 as a heap: the numbers (n,) int64, and the place of each in it (n,) int64."""
    heap, place = np.arange(len(key)), np.arange(len(key))
    for at in range(len(key) // 2 - 1, -1, -1):
        sink(heap, place, key, at, len(key))
    return heap, place


@compiled
def take_first(heap: np.ndarray, place: np.ndarray, key: np.ndarray, count: int) -> int:
    """The first of the `count` numbers left, moved behind them: count - 1 are left."""
    first, last = heap[0], heap[count - 1]
    heap[0], heap[count - 1] = last, first
    place[last], place[first] = 0, count - 1
    sink(heap, place, key, 0, count - 1)
    return first


@compiled
def rise(heap: np.ndarray, place: np.ndarray, key: np.ndarray, at: int) -> None:
    """Put the number at `at`, whose key has fallen, where it belongs."""
    moved = heap[at]
    while at > 0:
        above = heap[(at - 1) // 2]
        if not _before(moved, above, key):
            break
        heap[at], place[above] = above, at
        at = (at - 1) // 2
    heap[at], place[moved] = moved, at


@compiled
def sink(heap: np.ndarray, place: np.ndarray, key: np.ndarray, at: int, count: int) -> None:
    """Put the number at `at`, whose key has risen, where it belongs among the first `count` places."""
    moved = heap[at]
    below = 2 * at + 1
    while below < count:
        if below + 1 < count and _before(heap[below + 1], heap[below], key):
            below += 1
        if not _before(heap[below], moved, key):
            break
        heap[at], place[heap[below]] = heap[below], at
        at, below = below, 2 * below + 1
    heap[at], place[moved] = moved, at


@compiled
def _before(a: int, b: int, key: np.ndarray) -> bool:
    return bool(key[a] < key[b] or (key[a] == key[b] and a < b))
