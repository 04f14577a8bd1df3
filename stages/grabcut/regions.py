"""The image's own segmentation hierarchy as evidence: which regions a box contains, and which it fits."""

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.regions.criterion import MergeCriterion
from stages.regions.hierarchy import bound_up, build_hierarchy, sum_up
from stages.regions.iou import box_iou
from stages.regions.superpixels import build_superpixels

MERGE_SIZE, MERGE_COLOUR = 0.5, 0.3
"""Merge criterion: the one that serves MCG best; a second hierarchy with another added nothing here."""

TYPICAL_SHARE = 0.6
"""Share of a region inside the box at which containment speaks for neither side."""

FIT_SHARPNESS = 8.0
"""How fast belief in a region falls with 1 - IoU of its bounding box and the box: by e for 1/8."""

NO_REGION = 0.3
"""Belief that no region of the hierarchy is the object, in units of a perfect fit; cells are then 50 : 50."""

SOFTEN = 0.02
"""Keeps the log odds of a region's belief within about +-4."""


class Regions(NamedTuple):
    """L leaves and N = 2 L - 1 nodes of a merge tree, children before parents, the root last and its own parent.

    leaf: (h, w) int32 at the working size. parent: (N,) int64. area: (N,) pixels. box: (N, 4) xyxy half-open.
    """

    leaf: np.ndarray
    parent: np.ndarray
    area: np.ndarray
    box: np.ndarray

    @property
    def leaves(self) -> int:
        """L."""
        return (len(self.parent) + 1) // 2


def build_regions(strength: np.ndarray, lab: np.ndarray, leaves: int) -> Regions:
    """Hierarchy of contours `strength` (h, w) uint16, FULL_CONTOUR at most, and `lab` (h, w, 3) float32."""
    label, _, graph = build_superpixels(strength, lab)
    tree = build_hierarchy(graph, MergeCriterion(MERGE_SIZE, MERGE_COLOUR, leaves), label.size)
    area = sum_up(tree.parent, tree.leaf_of, graph.area)
    box = bound_up(tree.parent, tree.leaf_of, graph.box).astype(np.float64)
    return Regions(tree.leaf_of[label].astype(np.int32), tree.parent, area, box)


@njit(cache=True)
def region_evidence(
    leaf: np.ndarray, parent: np.ndarray, area: np.ndarray, bounds: np.ndarray, box: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the hierarchy says of each leaf for `box` (4,) float64 xyxy in pixels of the working size.

    Returns (L,) containment: share inside the box of the largest region around the leaf that is no larger than the box,
    less TYPICAL_SHARE; and (L,) fit: log odds of the belief that the object is one of the regions around the leaf.
    """
    nodes = len(parent)
    leaves = (nodes + 1) // 2
    inside = _inside(leaf, box, nodes)
    for node in range(nodes - 1):
        inside[parent[node]] += inside[node]
    box_area = (box[2] - box[0]) * (box[3] - box[1])
    share, belief = np.empty(nodes), np.empty(nodes)
    total = NO_REGION
    for node in range(nodes - 1, -1, -1):  # from the root down
        above = parent[node]
        whole = above == node or area[above] > box_area
        share[node] = inside[node] / area[node] if whole else share[above]
        overlap = box_iou(bounds[node], box)
        here = np.exp(FIT_SHARPNESS * (overlap - 1)) if overlap > 0 else 0.0
        total += here
        belief[node] = here if above == node else here + belief[above]
    containment, fit = np.empty(leaves), np.empty(leaves)
    for node in range(leaves):
        probability = (0.5 * NO_REGION + belief[node]) / total
        containment[node] = share[node] - TYPICAL_SHARE
        fit[node] = np.log((probability + SOFTEN) / (1 - probability + SOFTEN))
    return containment, fit


@njit(cache=True)
def _inside(leaf: np.ndarray, box: np.ndarray, nodes: int) -> np.ndarray:
    """(N,) pixels of each leaf inside `box`, rounded to whole pixels of the working size, at least one."""
    height, width = leaf.shape
    x0, y0 = min(max(round(box[0]), 0), width - 1), min(max(round(box[1]), 0), height - 1)
    x1, y1 = min(max(round(box[2]), x0 + 1), width), min(max(round(box[3]), y0 + 1), height)
    inside = np.zeros(nodes)
    for y in range(y0, y1):
        for x in range(x0, x1):
            inside[leaf[y, x]] += 1
    return inside


@njit(cache=True)
def mean_by_leaf(value: np.ndarray, leaf: np.ndarray, leaves: int) -> np.ndarray:
    """Each cell's (S, S) value replaced by the mean over the cells of its leaf."""
    total, count = np.zeros(leaves), np.zeros(leaves)
    rows, columns = value.shape
    for y in range(rows):
        for x in range(columns):
            total[leaf[y, x]] += value[y, x]
            count[leaf[y, x]] += 1
    mean = np.empty(value.shape)
    for y in range(rows):
        for x in range(columns):
            mean[y, x] = total[leaf[y, x]] / count[leaf[y, x]]
    return mean
