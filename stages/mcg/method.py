"""The whole method: image -> contours -> superpixels -> hierarchies -> tuples of regions -> ranked, diverse proposals."""

from typing import NamedTuple

import cv2
import numpy as np

from stages.contours import ContourDetector, detector_by_name
from stages.mcg.features import Candidates, describe, join
from stages.mcg.grouping import group_regions
from stages.mcg.hierarchy import build_hierarchy
from stages.mcg.masks import box_masks
from stages.mcg.params import McgParams, Scale
from stages.mcg.ranking import objectness
from stages.mcg.region_graph import build_region_graph
from stages.mcg.region_tree import RegionTree, build_tree
from stages.mcg.selection import suppress
from stages.mcg.watershed import watershed

BLUR = 0.7
"""Standard deviation, in working pixels, of the smoothing of the contour map before the watershed."""


class Grouping(NamedTuple):
    """Candidates of one hierarchy with what is needed to draw them.

    labels: (H, W) int32 superpixels; tree; member: (M, 4) int32 nodes; scale: (x, y) original per working pixel.
    """

    candidates: Candidates
    labels: np.ndarray
    tree: RegionTree
    member: np.ndarray
    scale: tuple[float, float]


def mcg_proposals(
    image: np.ndarray, params: McgParams, detector: ContourDetector | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Object proposals of `image` (H, W, 3) uint8 RGB, H and W at least 1.

    detector: any function image -> boundary probability (H, W) in [0, 1]; without it, the one named in `params`.
    Returns boxes (n, 4) float32 xyxy half-open best first, scores (n,) float32 and, if `params.masks`, box-frame masks
    (n, 56, 7) uint8, else None. 1 <= n <= params.max_proposals; the whole image is among the candidates.
    """
    groupings = propose_candidates(image, params, detector or detector_by_name(params.contours))
    candidates = join([grouping.candidates for grouping in groupings])
    score = objectness(candidates)
    order = np.argsort(-score, kind="stable")
    chosen = suppress(candidates.box, order, 0.75, params.max_proposals)
    masks = _draw(groupings, chosen, candidates.box[chosen]) if params.masks else None
    return candidates.box[chosen], score[chosen], masks


def propose_candidates(image: np.ndarray, params: McgParams, detector: ContourDetector) -> list[Grouping]:
    """All candidates, unranked, one `Grouping` per hierarchy."""
    long_side = max(image.shape[:2])
    groupings = []
    for scale in params.scales:
        side = min(scale.side, params.max_upscale * long_side * scale.side / params.scales[0].side)
        groupings += _group_scale(image, max(1, round(side)), scale, params, detector)
    return groupings


def _group_scale(
    image: np.ndarray, side: int, scale: Scale, params: McgParams, detector: ContourDetector
) -> list[Grouping]:
    height, width = image.shape[:2]
    small = resize_long_side(image, side)
    factor = width / small.shape[1], height / small.shape[0]
    contour = smooth_contour(detector(small))
    labels, count = watershed(contour)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32) / np.float32([100, 50, 50])
    graph = build_region_graph(labels, count, contour.astype(np.float32) / np.float32(65280), lab)
    groupings = []
    for criterion in scale.criteria:
        tree = build_tree(graph, build_hierarchy(graph, criterion, labels.size))
        member, split = group_regions(tree, params.tuples)
        groupings.append(Grouping(describe(tree, member, split, factor), labels, tree, member, factor))
    return groupings


def resize_long_side(image: np.ndarray, side: int) -> np.ndarray:
    """`image` (H, W, 3) with a long side of `side` pixels and a short one of at least 1."""
    height, width = image.shape[:2]
    ratio = side / max(height, width)
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)


def smooth_contour(probability: np.ndarray) -> np.ndarray:
    """Probability (H, W) quantised to 8 bits, then blurred in integers: (H, W) uint16, 65280 for 1.

    The last bits of a float detector, which may differ between builds, do not reach the grouping.
    """
    quantised = np.rint(np.clip(probability, 0, 1) * 255).astype(np.uint8)
    return cv2.GaussianBlur(quantised.astype(np.uint16) * 256, (0, 0), BLUR)


def _draw(groupings: list[Grouping], chosen: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Masks of the chosen candidates (indices into all groupings joined): (K, 56, 7) uint8."""
    masks = np.zeros((len(chosen), 56, 7), np.uint8)
    first = 0
    for grouping in groupings:
        mine = np.flatnonzero((chosen >= first) & (chosen < first + len(grouping.member)))
        members = grouping.member[chosen[mine] - first]
        masks[mine] = box_masks(grouping.tree, grouping.labels, members, box[mine], grouping.scale)
        first += len(grouping.member)
    return masks
