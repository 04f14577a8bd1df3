"""Combinatorial grouping: single nodes of a hierarchy and sets of two to four that touch, scanned from the top."""

import numpy as np

from stages.compiled import compiled
from stages.regions.region_tree import RegionTree
from stages.regions.tuple_counts import TupleCounts


def group_regions(tree: RegionTree, counts: TupleCounts) -> np.ndarray:
    """Tuples of disjoint, adjacent nodes: (M, 4) int32, padded with -1; singles, pairs, triplets, 4-tuples; root first.

    The tree is split from the root downwards in the reverse order of merging. After each split the two new nodes are
    combined with the nodes of the current partition that touch them, until `counts` are reached.
    """
    limits = np.array([counts.singles, counts.pairs, counts.triplets, counts.quadruplets])
    return _group(tree.child, tree.shared, limits)


@compiled
def _group(child: np.ndarray, shared: np.ndarray, limits: np.ndarray) -> np.ndarray:
    nodes = child.shape[0]
    leaves = (nodes + 1) // 2
    singles = np.full((limits[0], 4), -1, np.int32)
    pairs = np.full((limits[1], 4), -1, np.int32)
    triplets = np.full((limits[2], 4), -1, np.int32)
    quadruplets = np.full((limits[3], 4), -1, np.int32)
    used = np.array([1, 0, 0, 0])
    singles[0, 0] = nodes - 1

    partition, place = np.empty(leaves, np.int64), np.zeros(nodes, np.int64)
    partition[0], parts = nodes - 1, 1
    near, seen = np.empty(leaves, np.int64), np.full(nodes, -1, np.int64)
    for node in range(nodes - 1, leaves - 1, -1):
        if (used >= limits).all():
            break
        a, b = child[node]
        partition[place[node]], place[a] = a, place[node]
        partition[parts], place[b] = b, parts
        parts += 1
        for side in range(2):
            x, sibling = (a, b) if side == 0 else (b, a)
            if used[0] < limits[0]:
                singles[used[0], 0] = x
                used[0] += 1
            seen[sibling] = x  # x with its sibling is the node just split
            count = _neighbours(x, partition[:parts], shared, seen, near)
            used[1] = _add_pairs(pairs, used[1], x, near[:count])
            used[2] = _add_triplets(triplets, used[2], x, near[:count], partition[:parts], shared, seen)
            used[3] = _add_quadruplets(quadruplets, used[3], x, near[:count])
    return np.concatenate((singles[: used[0]], pairs[: used[1]], triplets[: used[2]], quadruplets[: used[3]]))


@compiled
def _neighbours(x: int, partition: np.ndarray, shared: np.ndarray, seen: np.ndarray, near: np.ndarray) -> int:
    """Write the parts that touch x to `near`; mark them and x in `seen` with x. Returns their number."""
    count = 0
    seen[x] = x
    for y in partition:
        if seen[y] != x and shared[x, y] > 0:
            near[count] = y
            seen[y] = x
            count += 1
    return count


@compiled
def _add_pairs(out: np.ndarray, used: int, x: int, near: np.ndarray) -> int:
    """x with each neighbour, while there is room. Returns the rows of `out` in use."""
    for u in near:
        if used == out.shape[0]:
            break
        out[used, 0], out[used, 1] = x, u
        used += 1
    return used


@compiled
def _add_triplets(
    out: np.ndarray, used: int, x: int, near: np.ndarray, partition: np.ndarray, shared: np.ndarray, seen: np.ndarray
) -> int:
    """x with two neighbours, or with a neighbour and a part that only this one touches."""
    for i in range(near.size):
        u = near[i]
        for j in range(i + 1, near.size):
            if used == out.shape[0]:
                return used
            out[used, 0], out[used, 1], out[used, 2] = x, u, near[j]
            used += 1
        if used == out.shape[0]:
            return used
        for y in partition:
            if seen[y] != x and shared[u, y] > 0 and used < out.shape[0]:
                out[used, 0], out[used, 1], out[used, 2] = x, u, y
                used += 1
    return used


@compiled
def _add_quadruplets(out: np.ndarray, used: int, x: int, near: np.ndarray) -> int:
    """x with three neighbours."""
    for i in range(near.size):
        for j in range(i + 1, near.size):
            for k in range(j + 1, near.size):
                if used == out.shape[0]:
                    return used
                out[used, 0], out[used, 1], out[used, 2], out[used, 3] = x, near[i], near[j], near[k]
                used += 1
    return used
