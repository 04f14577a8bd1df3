"""Combinatorial grouping: single nodes of a hierarchy and sets of two to four that touch, scanned from the top."""

import numba
import numpy as np

from stages.mcg.params import TupleCounts
from stages.mcg.region_tree import RegionTree

TUPLE = 4


def group_regions(tree: RegionTree, counts: TupleCounts) -> tuple[np.ndarray, np.ndarray]:
    """Tuples of disjoint, adjacent nodes: (M, 4) int32 padded with -1, and (M,) int32 the split at which each appeared.

    The tree is split from the root downwards in the reverse order of merging. After each split the two new nodes are
    combined with the nodes of the current partition that touch them, until `counts` are reached.
    """
    return _group(tree.child, tree.shared, counts.singles, counts.pairs, counts.triplets, counts.quadruplets)


@numba.njit(cache=True)
def _group(
    child: np.ndarray, shared: np.ndarray, singles: int, pairs: int, triplets: int, quadruplets: int
) -> tuple[np.ndarray, np.ndarray]:
    nodes = child.shape[0]
    leaves = (nodes + 1) // 2
    limit = np.array([singles, pairs, triplets, quadruplets])
    used = np.zeros(4, np.int64)
    member = np.full((limit.sum() + 1, 4), -1, np.int32)
    rank = np.zeros(limit.sum() + 1, np.int32)
    count = 0

    partition, place = np.empty(leaves, np.int64), np.zeros(nodes, np.int64)
    partition[0], parts = nodes - 1, 1
    neighbor, seen = np.empty(leaves, np.int64), np.zeros(nodes, np.int64)
    count = _append(member, rank, count, used, 0, 0, nodes - 1, -1, -1, -1)
    visit = 0
    for node in range(nodes - 1, leaves - 1, -1):
        split = nodes - node
        a, b = child[node]
        partition[place[node]], place[a] = a, place[node]
        partition[parts], place[b] = b, parts
        parts += 1
        for side in range(2):
            x, sibling = (a, b) if side == 0 else (b, a)
            if used[0] < limit[0]:
                count = _append(member, rank, count, used, 0, split, x, -1, -1, -1)
            if used[1] >= limit[1] and used[2] >= limit[2] and used[3] >= limit[3]:
                continue
            visit += 1
            seen[x] = seen[sibling] = visit  # x with its sibling is the node just split
            near = 0
            for i in range(parts):
                y = partition[i]
                if seen[y] != visit and shared[x, y] > 0:
                    neighbor[near] = y
                    near += 1
            for i in range(near):
                seen[neighbor[i]] = visit
            for i in range(near):
                if used[1] >= limit[1]:
                    break
                count = _append(member, rank, count, used, 1, split, x, neighbor[i], -1, -1)
            for i in range(near):
                u = neighbor[i]
                for j in range(i + 1, near):
                    if used[2] >= limit[2]:
                        break
                    count = _append(member, rank, count, used, 2, split, x, u, neighbor[j], -1)
                if used[2] >= limit[2]:
                    break
                for j in range(parts):
                    y = partition[j]
                    if seen[y] != visit and shared[u, y] > 0 and used[2] < limit[2]:
                        count = _append(member, rank, count, used, 2, split, x, u, y, -1)
            for i in range(near):
                for j in range(i + 1, near):
                    for k in range(j + 1, near):
                        if used[3] >= limit[3]:
                            break
                        count = _append(member, rank, count, used, 3, split, x, neighbor[i], neighbor[j], neighbor[k])
    return member[:count].copy(), rank[:count].copy()


@numba.njit(cache=True)
def _append(
    member: np.ndarray,
    rank: np.ndarray,
    count: int,
    used: np.ndarray,
    kind: int,
    split: int,
    a: int,
    b: int,
    c: int,
    d: int,
) -> int:
    """Write one tuple; returns the new count."""
    member[count, 0], member[count, 1], member[count, 2], member[count, 3] = a, b, c, d
    rank[count] = split
    used[kind] += 1
    return count + 1
