"""The whole method: image, contours, superpixels, hierarchies, tuples of regions, a diverse selection."""

from typing import NamedTuple

import cv2
import numpy as np

from data.masks import MASK_SIDE
from stages.contours import ContourDetector, detector_by_name
from stages.proposals.mcg.masks import box_masks
from stages.proposals.mcg.objectness import objectness
from stages.proposals.mcg.params import McgParams
from stages.proposals.mcg.selection import select
from stages.regions.contour import resize_long_side, smooth_contour
from stages.regions.features import Candidates, describe, join
from stages.regions.graph import RegionGraph
from stages.regions.grouping import group_regions
from stages.regions.hierarchy import build_hierarchy
from stages.regions.ranking import expected_objects
from stages.regions.region_tree import RegionTree, build_tree
from stages.regions.superpixels import build_superpixels

LEAST_SIDE = 4
"""Boxes of at most this many original pixels in width or height are no proposals."""

POOL = 14_000
"""Distinct candidates that take part in the selection (ten times as many as are wanted, if that is less)."""


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


def mcg_proposals(
    image: np.ndarray, params: McgParams, detector: ContourDetector | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Object proposals of `image` (H, W, 3) uint8 RGB, H and W at least 1.

    detector: any function image -> boundary probability (H, W) in [0, 1]; without it, the one named in `params`.
    Returns boxes (n, 4) float32 xyxy half-open best first, scores (n,) float32 (the probability that a box overlaps an
    object by half or more, see `objectness`) and, if `params.masks`, box-frame masks (n, 56, 7) uint8, else None.
    1 <= n <= params.max_proposals; the whole image is always among them. The first call on a machine compiles the
    loops: where several processes start together, call `warm_up.ensure_compiled` before.
    """
    selected = select_candidates(image, params, detector or detector_by_name(params.contours))
    masks = _draw(selected.groupings, selected.chosen, selected.box) if params.masks else None
    return selected.box, objectness(selected.gain).astype(np.float32), masks


class Selected(NamedTuple):
    """The candidates that became proposals.

    chosen: (n,) their indices in all `groupings` joined, best first; box: (n, 4) float32 xyxy; gain: (n,) float64, how
    much more of the expected objects each covers than those before it, never rising.
    """

    groupings: list[Grouping]
    chosen: np.ndarray
    box: np.ndarray
    gain: np.ndarray


def select_candidates(image: np.ndarray, params: McgParams, detector: ContourDetector) -> Selected:
    """The proposals of an image before they are scored; the arguments as for `mcg_proposals`."""
    groupings = propose_candidates(image, params, detector)
    candidates = join([grouping.candidates for grouping in groupings])
    weight = expected_objects(candidates, image.shape[:2], groupings[-1].superpixels.contour)
    large = np.flatnonzero(_large_enough(candidates.box, image.shape[:2]))
    limit = params.max_proposals
    chosen, gain = select(candidates.box[large], weight[large], limit, max(2 * limit, min(10 * limit, POOL)))
    chosen, gain = _with_whole_image(large[chosen], gain, candidates.box, params.max_proposals)
    return Selected(groupings, chosen, candidates.box[chosen], gain)


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


def _superpixels(image: np.ndarray, side: int, detector: ContourDetector) -> Superpixels:
    small = resize_long_side(image, max(side, 1))
    probability = detector(small)
    if probability.shape != small.shape[:2]:
        raise ValueError(f"the contour detector gave shape {probability.shape} for an image of {small.shape[:2]}")
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    labels, contour, graph = build_superpixels(smooth_contour(probability), lab)
    scale = image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]
    return Superpixels(contour, labels, graph, scale)


def _large_enough(box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which boxes (M, 4) have sides over LEAST_SIDE pixels, or span an image that is itself no larger: (M,) bool."""
    height, width = size
    least = np.minimum(LEAST_SIDE, np.array([width, height]) - 1)
    return ((box[:, 2:] - box[:, :2]) > least).all(1)


def _with_whole_image(
    chosen: np.ndarray, gain: np.ndarray, box: np.ndarray, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Make sure that the whole image, candidate 0, is among the chosen: if need be in the last place, with score 0."""
    if (box[chosen] == box[0]).all(1).any():
        return chosen, gain
    kept = min(len(chosen), limit - 1)
    return np.append(chosen[:kept], 0), np.append(gain[:kept], 0.0)


def _draw(groupings: list[Grouping], chosen: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Masks of the chosen candidates (indices into all groupings joined): (K, 56, 7) uint8."""
    masks = np.zeros((len(chosen), MASK_SIDE, MASK_SIDE // 8), np.uint8)
    first = 0
    for grouping in groupings:
        mine = np.flatnonzero((chosen >= first) & (chosen < first + len(grouping.member)))
        members, superpixels = grouping.member[chosen[mine] - first], grouping.superpixels
        masks[mine] = box_masks(grouping.tree, superpixels.labels, members, box[mine], superpixels.scale)
        first += len(grouping.member)
    return masks
