"""Exact minimum cut of a grid with 8 neighbours a pixel, compiled.

The augmenting-path algorithm of Boykov and Kolmogorov (PAMI 2004): two search trees grow from the terminals, meet, and
are mended instead of rebuilt. Capacities are integers, so the flow is exact and the cut the same everywhere.
"""

import numpy as np
from numba import njit

FREE, SOURCE, SINK = 0, 1, 2
TERMINAL, ORPHAN = 8, 9
"""Values of `parent` beside a direction 0..7: the tree's root is the parent; the parent was lost."""

FAR = 1 << 30


@njit(cache=True)
def minimum_cut(unary: np.ndarray, pairwise: np.ndarray) -> np.ndarray:
    """The labelling that minimises  sum_i -unary_i [x_i = 1]  +  sum_ij pairwise_ij [x_i != x_j].

    unary: (h, w) int32, the gain of calling the pixel foreground, may be negative.
    pairwise: (4, h, w) int32 >= 0, cost of a difference between a pixel and its neighbour to the right, below,
        below right, below left; entries that point out of the grid are ignored.
    Returns (h, w) bool. Where several cuts cost the same, the one with the smallest foreground.
    """
    h, w = unary.shape
    stride = w + 2  # a rim of unreachable pixels saves all tests of bounds
    n = (h + 2) * stride
    offset = np.array([1, -1, stride, -stride, stride + 1, -stride - 1, stride - 1, -stride + 1])
    residual = np.zeros((n, 8), np.int32)
    terminal = np.zeros(n, np.int32)
    _set_capacities(unary, pairwise, residual, terminal)

    tree = np.zeros(n, np.uint8)
    parent = np.full(n, -1, np.int8)
    distance = np.zeros(n, np.int32)
    stamp = np.zeros(n, np.int32)
    queue = np.empty(n + 1, np.int32)
    queued = np.zeros(n, np.bool_)
    orphans = np.empty(n + 1, np.int32)
    head = tail = 0
    for i in range(n):
        if terminal[i] != 0:
            tree[i] = SOURCE if terminal[i] > 0 else SINK
            parent[i] = TERMINAL
            distance[i] = 1
            queue[tail] = i
            queued[i] = True
            tail += 1
    time = 0
    while head != tail:
        i = queue[head]
        if parent[i] < 0:  # it became free while it waited
            queued[i] = False
            head = head + 1 if head < n else 0
            continue
        # grow the tree from i until it touches the other one
        meet = -1
        own = tree[i]
        for d in range(8):
            j = i + offset[d]
            room = residual[i, d] if own == SOURCE else residual[j, d ^ 1]
            if room == 0:
                continue
            if tree[j] == FREE or parent[j] < 0:
                tree[j] = own
                parent[j] = d ^ 1
                stamp[j] = stamp[i]
                distance[j] = distance[i] + 1
                if not queued[j]:
                    queued[j] = True
                    queue[tail] = j
                    tail = tail + 1 if tail < n else 0
            elif tree[j] != own:
                meet = d
                break
            elif stamp[j] <= stamp[i] and distance[j] > distance[i] + 1:  # a shorter way to the root
                parent[j] = d ^ 1
                stamp[j] = stamp[i]
                distance[j] = distance[i] + 1
        if meet < 0:
            queued[i] = False
            head = head + 1 if head < n else 0
            continue
        time += 1
        if own == SOURCE:
            count = _augment(i, meet, residual, terminal, parent, offset, orphans)
        else:
            count = _augment(i + offset[meet], meet ^ 1, residual, terminal, parent, offset, orphans)
        tail = _adopt(orphans, count, time, residual, tree, parent, distance, stamp, offset, queue, queued, tail)
    foreground = np.empty((h, w), np.bool_)
    for y in range(h):
        for x in range(w):
            i = (y + 1) * stride + x + 1
            foreground[y, x] = tree[i] == SOURCE and parent[i] >= 0
    return foreground


@njit(cache=True)
def _set_capacities(unary: np.ndarray, pairwise: np.ndarray, residual: np.ndarray, terminal: np.ndarray) -> None:
    h, w = unary.shape
    stride = w + 2
    for y in range(h):
        for x in range(w):
            i = (y + 1) * stride + x + 1
            terminal[i] = unary[y, x]
            if x + 1 < w:
                residual[i, 0] = residual[i + 1, 1] = pairwise[0, y, x]
            if y + 1 < h:
                residual[i, 2] = residual[i + stride, 3] = pairwise[1, y, x]
                if x + 1 < w:
                    residual[i, 4] = residual[i + stride + 1, 5] = pairwise[2, y, x]
                if x > 0:
                    residual[i, 6] = residual[i + stride - 1, 7] = pairwise[3, y, x]


@njit(cache=True)
def _augment(
    i: int,
    d: int,
    residual: np.ndarray,
    terminal: np.ndarray,
    parent: np.ndarray,
    offset: np.ndarray,
    orphans: np.ndarray,
) -> int:
    """Send flow along source ... i -> i + offset[d] ... sink; returns how many pixels lost their parent."""
    j = i + offset[d]
    flow = residual[i, d]
    k = i
    while parent[k] != TERMINAL:
        up = parent[k]
        k += offset[up]
        flow = min(flow, residual[k, up ^ 1])
    flow = min(flow, terminal[k])
    k = j
    while parent[k] != TERMINAL:
        up = parent[k]
        flow = min(flow, residual[k, up])
        k += offset[up]
    flow = min(flow, -terminal[k])

    residual[i, d] -= flow
    residual[j, d ^ 1] += flow
    count = 0
    k = i
    while parent[k] != TERMINAL:
        up = parent[k]
        above = k + offset[up]
        residual[k, up] += flow
        residual[above, up ^ 1] -= flow
        if residual[above, up ^ 1] == 0:
            parent[k] = ORPHAN
            orphans[count] = k
            count += 1
        k = above
    terminal[k] -= flow
    if terminal[k] == 0:
        parent[k] = ORPHAN
        orphans[count] = k
        count += 1
    k = j
    while parent[k] != TERMINAL:
        up = parent[k]
        above = k + offset[up]
        residual[k, up] -= flow
        residual[above, up ^ 1] += flow
        if residual[k, up] == 0:
            parent[k] = ORPHAN
            orphans[count] = k
            count += 1
        k = above
    terminal[k] += flow
    if terminal[k] == 0:
        parent[k] = ORPHAN
        orphans[count] = k
        count += 1
    return count


@njit(cache=True)
def _depth(k: int, time: int, parent: np.ndarray, distance: np.ndarray, stamp: np.ndarray, offset: np.ndarray) -> int:
    """Steps from k to its terminal, FAR if its root is lost."""
    steps = 0
    while True:
        if stamp[k] == time:
            return steps + distance[k]
        up = parent[k]
        steps += 1
        if up == TERMINAL:
            stamp[k] = time
            distance[k] = 1
            return steps
        if up == ORPHAN or up < 0:
            return FAR
        k += offset[up]


@njit(cache=True)
def _adopt(
    orphans: np.ndarray,
    count: int,
    time: int,
    residual: np.ndarray,
    tree: np.ndarray,
    parent: np.ndarray,
    distance: np.ndarray,
    stamp: np.ndarray,
    offset: np.ndarray,
    queue: np.ndarray,
    queued: np.ndarray,
    tail: int,
) -> int:
    """Give every orphan a new parent of its own tree or set it free; returns the queue's new tail."""
    n = len(parent)
    size = len(orphans)
    first, last = 0, count
    while first != last:
        i = orphans[first]
        first = first + 1 if first + 1 < size else 0
        own = tree[i]
        best, best_depth = -1, FAR
        for d in range(8):
            j = i + offset[d]
            room = residual[j, d ^ 1] if own == SOURCE else residual[i, d]
            if room == 0 or tree[j] != own or parent[j] < 0 or parent[j] == ORPHAN:
                continue
            depth = _depth(j, time, parent, distance, stamp, offset)
            if depth == FAR:
                continue
            if depth < best_depth:
                best, best_depth = d, depth
            k, steps = j, depth  # remember the depths along the way
            while stamp[k] != time:
                stamp[k] = time
                distance[k] = steps
                steps -= 1
                k += offset[parent[k]]
        if best >= 0:
            parent[i] = best
            stamp[i] = time
            distance[i] = best_depth + 1
            continue
        parent[i] = -1
        tree[i] = FREE
        for d in range(8):
            j = i + offset[d]
            if tree[j] != own or parent[j] < 0:
                continue
            room = residual[j, d ^ 1] if own == SOURCE else residual[i, d]
            if room > 0 and not queued[j]:
                queued[j] = True
                queue[tail] = j
                tail = tail + 1 if tail < n else 0
            if parent[j] < TERMINAL and parent[j] == (d ^ 1):
                parent[j] = ORPHAN
                orphans[last] = j
                last = last + 1 if last + 1 < size else 0
    return tail
