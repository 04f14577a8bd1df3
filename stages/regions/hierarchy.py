"""Agglomeration: merges the regions of a graph, two at a time, into a binary tree whose upper part is kept."""

from typing import NamedTuple

import numpy as np

from stages.compiled import compiled
from stages.regions.criterion import MergeCriterion
from stages.regions.graph import RegionGraph
from stages.regions.heap import heap_of, rise, sink, take_first


class Hierarchy(NamedTuple):
    """The top of a merge tree: L leaves and N = 2 L - 1 nodes, children before parents, the root last.

    parent: (N,) int64, the root is its own; altitude: (N,) float64, cost at which a node was formed (never falling
    towards the root), leaves keep that of their formation; leaf_of: (n,) int64, leaf of each region of the graph.
    """

    parent: np.ndarray
    altitude: np.ndarray
    leaf_of: np.ndarray


def build_hierarchy(graph: RegionGraph, criterion: MergeCriterion, image_area: int) -> Hierarchy:
    """Merge all regions by `criterion`, then keep the last `criterion.leaves` - 1 merges. `graph` must be connected."""
    parent, altitude = _agglomerate(
        graph.edge,
        graph.length,
        graph.contour,
        graph.area,
        graph.colour,
        criterion.size,
        criterion.color,
        image_area / 100,
    )
    return Hierarchy(*_cut(parent, altitude, len(graph.area), criterion.leaves))


@compiled
def _cost(
    contour: float,
    length: float,
    area_a: float,
    area_b: float,
    colour_a: np.ndarray,
    colour_b: np.ndarray,
    size: float,
    colour: float,
    unit: float,
) -> float:
    """(mean contour + colour x distance of mean colours) x (smaller area / unit) ^ size."""
    distance = 0.0
    for c in range(colour_a.size):
        distance += (colour_a[c] / area_a - colour_b[c] / area_b) ** 2
    return (contour / length + colour * np.sqrt(distance)) * (min(area_a, area_b) / unit) ** size


@compiled
def _agglomerate(
    edge: np.ndarray,
    leaf_length: np.ndarray,
    leaf_contour: np.ndarray,
    leaf_area: np.ndarray,
    leaf_colour: np.ndarray,
    size: float,
    colour: float,
    unit: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Parent and altitude of all 2 n - 1 nodes. Ties go to the edge of lower index."""
    n, edges = leaf_area.size, edge.shape[0]
    nodes = 2 * n - 1
    ends, length, contour = edge.copy(), leaf_length.copy(), leaf_contour.copy()
    area, total = np.zeros(nodes), np.zeros((nodes, leaf_colour.shape[1]))
    for region in range(n):
        area[region] = leaf_area[region]
        for c in range(total.shape[1]):
            total[region, c] = leaf_colour[region, c]
    parent, altitude = np.arange(nodes), np.zeros(nodes)
    head, following = _edge_lists(ends, nodes)
    alive, cost = np.ones(edges, np.bool_), np.empty(edges)
    for e in range(edges):
        a, b = ends[e]
        cost[e] = _cost(contour[e], length[e], area[a], area[b], total[a], total[b], size, colour, unit)
    heap, place = heap_of(cost)
    edge_to = np.full(nodes, -1, np.int64)
    node, highest, left = n, 0.0, edges
    while left > 0 and node < nodes:
        merged = take_first(heap, place, cost, left)
        left -= 1
        if not alive[merged]:
            continue
        alive[merged] = False
        highest = max(highest, cost[merged])
        altitude[node] = highest
        a, b = ends[merged]
        parent[a], parent[b] = node, node
        area[node] = area[a] + area[b]
        for c in range(total.shape[1]):
            total[node, c] = total[a, c] + total[b, c]
        head[node] = _join_edges(a, b, node, head, following, ends, alive, length, contour, edge_to)
        entry = head[node]
        while entry >= 0:
            e = entry >> 1
            other = ends[e, 1] if ends[e, 0] == node else ends[e, 0]
            edge_to[other] = -1
            cost[e] = _cost(
                contour[e], length[e], area[node], area[other], total[node], total[other], size, colour, unit
            )
            rise(heap, place, cost, place[e])
            sink(heap, place, cost, place[e], left)
            entry = following[entry]
        node += 1
    return parent, altitude


@compiled
def _edge_lists(ends: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """A linked list of edges for each region: its first entry, and the entry after each; -1 ends a list.

    Entries 2 e and 2 e + 1 are those of edge e in the lists of its two ends.
    """
    head, tail = np.full(nodes, -1, np.int64), np.full(nodes, -1, np.int64)
    following = np.full(2 * ends.shape[0], -1, np.int64)
    for entry in range(following.size):
        region = ends[entry >> 1, entry & 1]
        if head[region] < 0:
            head[region] = entry
        else:
            following[tail[region]] = entry
        tail[region] = entry
    return head, following


@compiled
def _join_edges(
    a: int,
    b: int,
    node: int,
    head: np.ndarray,
    following: np.ndarray,
    ends: np.ndarray,
    alive: np.ndarray,
    length: np.ndarray,
    contour: np.ndarray,
    edge_to: np.ndarray,
) -> int:
    """One list of the edges of a and b, as edges of `node`; two to the same neighbour become one. Returns its head.

    edge_to: -1 everywhere; on return, the edge to each neighbour of `node`.
    """
    first, last = -1, -1
    for side in range(2):
        region = a if side == 0 else b
        entry = head[region]
        while entry >= 0:
            upcoming, e = following[entry], entry >> 1
            mine = 0 if ends[e, 0] == region else 1
            other = ends[e, 1 - mine]
            if alive[e] and edge_to[other] >= 0:
                length[edge_to[other]] += length[e]
                contour[edge_to[other]] += contour[e]
                alive[e] = False
            elif alive[e]:
                edge_to[other] = e
                ends[e, mine] = node
                if first < 0:
                    first = entry
                else:
                    following[last] = entry
                last = entry
            entry = upcoming
    if last >= 0:
        following[last] = -1
    return first


@compiled
def _cut(parent: np.ndarray, altitude: np.ndarray, n: int, leaves: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drop all but the last `leaves` - 1 merges: parent and altitude of the nodes left, and the leaf of each region."""
    nodes = parent.size
    cut = max(n, nodes - (leaves - 1))
    kept = np.full(nodes, -1, np.int64)
    count = 0
    for i in range(nodes):
        if i < cut and (parent[i] >= cut or nodes == 1):
            kept[i] = count
            count += 1
    for i in range(cut, nodes):
        kept[i] = count
        count += 1
    leaf_of, owner = np.empty(n, np.int64), np.full(nodes, -1, np.int64)
    for i in range(nodes - 1, -1, -1):
        if i < cut:
            owner[i] = kept[i] if kept[i] >= 0 else owner[parent[i]]
        if i < n:
            leaf_of[i] = owner[i]
    new_parent, new_altitude = np.empty(count, np.int64), np.empty(count)
    for i in range(nodes):
        if kept[i] >= 0:
            new_parent[kept[i]] = kept[parent[i]]
            new_altitude[kept[i]] = altitude[i]
    return new_parent, new_altitude, leaf_of


@compiled
def sum_up(parent: np.ndarray, leaf_of: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(N,) float64: for each node the sum of `value` (n,) over the graph's regions below it."""
    total = np.zeros(parent.size)
    for i in range(leaf_of.size):
        total[leaf_of[i]] += value[i]
    for node in range(parent.size - 1):
        total[parent[node]] += total[node]
    return total


@compiled
def bound_up(parent: np.ndarray, leaf_of: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(N, 4) int32 xyxy: for each node the box around the boxes (n, 4) int32 of the graph's regions below it."""
    bounds = np.empty((parent.size, 4), np.int32)
    bounds[:, :2], bounds[:, 2:] = 2**31 - 1, 0
    for i in range(leaf_of.size):
        _widen(bounds[leaf_of[i]], box[i])
    for node in range(parent.size - 1):
        _widen(bounds[parent[node]], bounds[node])
    return bounds


@compiled
def _widen(bounds: np.ndarray, box: np.ndarray) -> None:
    for c in range(2):
        bounds[c] = min(bounds[c], box[c])
        bounds[2 + c] = max(bounds[2 + c], box[2 + c])
