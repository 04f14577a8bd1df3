"""Candidates: contours, superpixels, hierarchies and tuples of regions, of all working sizes."""

from typing import NamedTuple

import cv2
import numpy as np

from stages.contours import ContourDetector
from stages.proposals.mcg.params import McgParams
from stages.regions.contour import resize_long_side, smooth_contour
from stages.regions.features import Candidates, describe
from stages.regions.graph import RegionGraph
from stages.regions.grouping import group_regions
from stages.regions.hierarchy import build_hierarchy
from stages.regions.region_tree import RegionTree, build_tree
from stages.regions.superpixels import build_superpixels


class Superpixels(NamedTuple):
    """One working size.

    contour: (h, w) float32 in [0, 1]; labels: (h, w) int32; scale: (x, y) original pixels per working pixel.
    """

    contour: np.ndarray
    labels: np.ndarray
    graph: RegionGraph
    scale: tuple[float, float]


class Grouping(NamedTuple):
    """One hierarchy. member: (M, 4) int32 nodes of `tree` for each of its M candidates."""

    candidates: Candidates
    superpixels: Superpixels
    tree: RegionTree
    member: np.ndarray


def propose_candidates(image: np.ndarray, params: McgParams, detector: ContourDetector) -> list[Grouping]:
    """All candidates, unranked, one `Grouping` per hierarchy; the first candidate of each is the whole image."""
    largest = min(params.scales[0].side, params.max_upscale * max(image.shape[:2]))
    groupings: list[Grouping] = []
    for scale in params.scales:
        superpixels = _superpixels(image, round(largest * scale.side / params.scales[0].side), detector)
        for criterion in scale.criteria:
            hierarchy = build_hierarchy(superpixels.graph, criterion, superpixels.labels.size)
            tree = build_tree(superpixels.graph, hierarchy)
            member = group_regions(tree, params.tuples)
            candidates = describe(tree, member, superpixels.scale, len(groupings))
            groupings.append(Grouping(candidates, superpixels, tree, member))
    return groupings


def candidate_boxes(groupings: list[Grouping]) -> np.ndarray:
    """Boxes of all candidates, in the order of the groupings: (M, 4) float32 xyxy."""
    return np.concatenate([grouping.candidates.box for grouping in groupings])


def _superpixels(image: np.ndarray, side: int, detector: ContourDetector) -> Superpixels:
    small = resize_long_side(image, max(side, 1))
    probability = detector(small)
    if probability.shape != small.shape[:2]:
        raise ValueError(f"the contour detector gave shape {probability.shape} for an image of {small.shape[:2]}")
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    labels, contour, graph = build_superpixels(smooth_contour(probability), lab)
    scale = image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]
    return Superpixels(contour, labels, graph, scale)
