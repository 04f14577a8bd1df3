"""MCG's candidates, single regions and tuples of up to four, as hypotheses of what a box shows."""

from typing import NamedTuple

import numpy as np

from stages.compiled import compiled
from stages.regions.features import describe
from stages.regions.graph import RegionGraph
from stages.regions.grouping import group_regions
from stages.regions.hierarchy import Hierarchy
from stages.regions.ranking import log_intensity
from stages.regions.region_tree import build_tree
from stages.regions.tuple_counts import TupleCounts

COUNTS = TupleCounts(1000, 3000, 4000, 300)

LEAST_IOU = 0.4
"""Candidates whose box overlaps the box by less are no hypotheses."""

SHARPNESS = 14.0
"""How fast belief in a candidate falls with 1 - IoU of its box and the box: by e for 1/14."""

LEVEL = 2.7
"""Log intensity (`ranking.log_intensity`) of a good candidate, one in ten: its belief is 1 if it fits perfectly."""

NO_CANDIDATE = 0.1
"""Belief that no candidate is the object; cells are then 50 : 50."""

SOFTEN = 0.02
"""Keeps the log odds of a leaf within about +-4."""


class Tuples(NamedTuple):
    """M candidates in order of the area of their boxes.

    member: (M, 4) int32 nodes of the hierarchy, padded with -1; box: (4, M) float32 xyxy in working pixels;
    area: (M,) float32 of the box; belief: (M,) float32, how likely an object is there, in units of LEVEL.
    """

    member: np.ndarray
    box: np.ndarray
    area: np.ndarray
    belief: np.ndarray


def build_tuples(graph: RegionGraph, hierarchy: Hierarchy, contour: np.ndarray) -> Tuples:
    """The candidates of one hierarchy; contour: (h, w) float32 at the working size."""
    tree = build_tree(graph, hierarchy)
    member = group_regions(tree, COUNTS)
    candidates = describe(tree, member, (1.0, 1.0), 0)
    belief = np.exp(log_intensity(candidates, contour.shape, contour) - LEVEL)
    area = (candidates.box[:, 2:] - candidates.box[:, :2]).prod(1)
    order = np.argsort(area, kind="stable")
    box = np.ascontiguousarray(candidates.box[order].T)
    return Tuples(member[order], box, area[order], belief[order].astype(np.float32))


@compiled
def tuple_evidence(tuples: Tuples, parent: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Log odds (L,) that a leaf is part of the object of `box` (4,) float64 xyxy in working pixels."""
    nodes = len(parent)
    believed = np.zeros(nodes)
    total = NO_CANDIDATE
    x0, y0, x1, y1 = np.float32(box[0]), np.float32(box[1]), np.float32(box[2]), np.float32(box[3])
    own = (x1 - x0) * (y1 - y0)
    first = np.searchsorted(tuples.area, own * np.float32(LEAST_IOU))
    end = np.searchsorted(tuples.area, own / np.float32(LEAST_IOU))
    left, top, right, bottom = tuples.box[0], tuples.box[1], tuples.box[2], tuples.box[3]
    for i in range(first, end):
        width = min(x1, right[i]) - max(x0, left[i])
        height = min(y1, bottom[i]) - max(y0, top[i])
        if width <= 0 or height <= 0:
            continue
        shared = width * height
        iou = shared / (own + tuples.area[i] - shared)
        if iou < LEAST_IOU:
            continue
        belief = tuples.belief[i] * np.exp(SHARPNESS * (iou - 1.0))
        total += belief
        for k in range(4):
            node = tuples.member[i, k]
            if node >= 0:
                believed[node] += belief
    for node in range(nodes - 2, -1, -1):
        believed[node] += believed[parent[node]]
    evidence = np.empty((nodes + 1) // 2)
    for leaf in range(len(evidence)):
        probability = (0.5 * NO_CANDIDATE + believed[leaf]) / total
        evidence[leaf] = np.log((probability + SOFTEN) / (1 - probability + SOFTEN))
    return evidence
