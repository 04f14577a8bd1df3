"""The image's own segmentation hierarchy as evidence: which regions lie inside a box, and which candidates fit it."""

from typing import NamedTuple

import numpy as np

from stages.compiled import compiled
from stages.grabcut.runs import Runs, count_inside, find_runs
from stages.grabcut.tuples import Tuples, build_tuples
from stages.regions.criterion import MergeCriterion
from stages.regions.graph import RegionGraph
from stages.regions.hierarchy import build_hierarchy, sum_up
from stages.regions.superpixels import build_superpixels

MERGES = ((0.5, 0.3), (0.5, 2.0))
"""Size exponent and colour weight of each hierarchy's merge criterion: those that MCG has at 520 pixels."""

TYPICAL_SHARE = 0.6
"""Share of a region inside the box at which containment speaks for neither side."""


class Regions(NamedTuple):
    """L leaves and N = 2 L - 1 nodes of a merge tree, children before parents, the root last and its own parent.

    leaf: (h, w) int32 at the working size; runs: of that map. parent: (N,) int64. area: (N,) pixels.
    tuples: the candidates that MCG would make of the tree.
    """

    leaf: np.ndarray
    runs: Runs
    parent: np.ndarray
    area: np.ndarray
    tuples: Tuples

    @property
    def leaves(self) -> int:
        """L."""
        return (len(self.parent) + 1) // 2


def build_regions(strength: np.ndarray, lab: np.ndarray, leaves: int) -> tuple[Regions, ...]:
    """Hierarchies of contours `strength` (h, w) uint16, FULL_CONTOUR at most, and `lab` (h, w, 3) float32."""
    label, contour, graph = build_superpixels(strength, lab)
    return tuple(_hierarchy(label, contour, graph, MergeCriterion(*merge, leaves)) for merge in MERGES)


def _hierarchy(label: np.ndarray, contour: np.ndarray, graph: RegionGraph, criterion: MergeCriterion) -> Regions:
    tree = build_hierarchy(graph, criterion, label.size)
    area = sum_up(tree.parent, tree.leaf_of, graph.area)
    leaf = tree.leaf_of[label].astype(np.int32)
    return Regions(leaf, find_runs(leaf), tree.parent, area, build_tuples(graph, tree, contour))


@compiled
def containment_evidence(runs: Runs, width: int, parent: np.ndarray, area: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(L,) share inside `box` of the largest region around each leaf that is no larger than it, less TYPICAL_SHARE.

    box: (4,) float64 xyxy in pixels of the working size, `width` of them in a row; rounded to whole ones, at least one.
    """
    nodes, height = len(parent), len(runs.row) - 1
    x0, y0 = min(max(round(box[0]), 0), width - 1), min(max(round(box[1]), 0), height - 1)
    x1, y1 = min(max(round(box[2]), x0 + 1), width), min(max(round(box[3]), y0 + 1), height)
    inside = count_inside(runs, x0, y0, x1, y1, nodes)
    for node in range(nodes - 1):
        inside[parent[node]] += inside[node]
    box_area = (box[2] - box[0]) * (box[3] - box[1])
    share = np.empty(nodes)
    for node in range(nodes - 1, -1, -1):  # from the root down
        above = parent[node]
        whole = above == node or area[above] > box_area
        share[node] = inside[node] / area[node] if whole else share[above]
    evidence = np.empty((nodes + 1) // 2)
    for i in range(len(evidence)):
        evidence[i] = share[i] - TYPICAL_SHARE
    return evidence


@compiled
def mean_by_leaf(value: np.ndarray, leaf: np.ndarray, leaves: int) -> np.ndarray:
    """(L,) float64: mean of the `value` (n,) of cells over those of each `leaf` (n,); 0 for a leaf without cells."""
    total, count = np.zeros(leaves), np.zeros(leaves)
    for i in range(len(value)):
        total[leaf[i]] += value[i]
        count[leaf[i]] += 1
    for j in range(leaves):
        total[j] /= max(count[j], 1.0)
    return total
