"""Geometry of a hierarchy's nodes and which of them touch."""

from typing import NamedTuple

import numpy as np

from stages.compiled import compiled
from stages.regions.graph import RegionGraph
from stages.regions.hierarchy import Hierarchy, bound_up, sum_up


class RegionTree(NamedTuple):
    """N = 2 L - 1 nodes of a hierarchy, leaves first, the root last, with their geometry in working pixels.

    parent, altitude: as in `Hierarchy`; child: (N, 2) int64, -1 for leaves.
    box: (N, 4) int32 xyxy half-open; area, border: (N,) pixels and sides on the image's frame.
    perimeter, contour: (N,) length of the outline inside the image and sum of the contour along it.
    shared, shared_contour: (N, N) float32, length of the border between two disjoint nodes and the contour along it
    (between a node and one inside it the entries mean nothing).
    leaf_of: (n,) leaf of each superpixel.
    """

    parent: np.ndarray
    altitude: np.ndarray
    child: np.ndarray
    box: np.ndarray
    area: np.ndarray
    border: np.ndarray
    perimeter: np.ndarray
    contour: np.ndarray
    shared: np.ndarray
    shared_contour: np.ndarray
    leaf_of: np.ndarray

    @property
    def leaves(self) -> int:
        """L."""
        return (len(self.parent) + 1) // 2


def build_tree(graph: RegionGraph, hierarchy: Hierarchy) -> RegionTree:
    """Add up the superpixels' geometry to the leaves and upwards."""
    parent, leaf_of = hierarchy.parent, hierarchy.leaf_of
    child = _children(parent)
    shared = _shared(graph.edge, graph.length, leaf_of, child)
    shared_contour = _shared(graph.edge, graph.contour, leaf_of, child)
    # A node's entry towards the root counts all its border pairs, the one towards itself twice its inner ones.
    perimeter = shared[-1] - shared.diagonal()
    contour = shared_contour[-1] - shared_contour.diagonal()
    return RegionTree(
        parent,
        hierarchy.altitude,
        child,
        bound_up(parent, leaf_of, graph.box),
        sum_up(parent, leaf_of, graph.area),
        sum_up(parent, leaf_of, graph.border),
        perimeter.astype(np.float64),
        contour.astype(np.float64),
        shared,
        shared_contour,
        leaf_of,
    )


@compiled
def _children(parent: np.ndarray) -> np.ndarray:
    child = np.full((parent.size, 2), -1, np.int64)
    for node in range(parent.size - 1):
        child[parent[node], 0 if child[parent[node], 0] < 0 else 1] = node
    return child


@compiled
def _shared(edge: np.ndarray, value: np.ndarray, leaf_of: np.ndarray, child: np.ndarray) -> np.ndarray:
    """(N, N) float32: sums of `value` over the edges between two nodes."""
    nodes = child.shape[0]
    leaves = (nodes + 1) // 2
    total = np.empty((nodes, nodes), np.float32)
    for row in range(leaves):
        for leaf in range(leaves):
            total[row, leaf] = 0
    for e in range(edge.shape[0]):
        a, b = leaf_of[edge[e, 0]], leaf_of[edge[e, 1]]
        if a != b:
            total[a, b] += value[e]
            total[b, a] += value[e]
    for row in range(leaves):
        for node in range(leaves, nodes):
            total[row, node] = total[row, child[node, 0]] + total[row, child[node, 1]]
    for node in range(leaves, nodes):  # whole rows, side by side: the bulk of the work
        a, b = child[node]
        for column in range(nodes):
            total[node, column] = total[a, column] + total[b, column]
    return total
