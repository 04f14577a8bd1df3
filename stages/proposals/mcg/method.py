"""The whole method: image, contours, superpixels, hierarchies, tuples of regions, a diverse selection."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from data.masks import MASK_SIDE
from stages.contours import ContourDetector, detector_by_name
from stages.proposals.mcg.candidates import Grouping, candidate_boxes, propose_candidates
from stages.proposals.mcg.masks import box_masks
from stages.proposals.mcg.objectness import objectness
from stages.proposals.mcg.params import McgParams, Mode
from stages.proposals.mcg.ranking import expected_objects
from stages.proposals.mcg.selection import select

LEAST_SIDE = 4
"""Boxes of at most this many original pixels in width or height are no proposals."""

POOL: Mapping[Mode, int] = {"accurate": 14_000, "fast": 4_000}
"""Distinct candidates that take part in the selection (ten times as many as are wanted, if that is less; twice as many,
if that is more)."""


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
    box = candidate_boxes(groupings)
    weight = expected_objects(groupings, image)
    large = np.flatnonzero(_large_enough(box, image.shape[:2]))
    limit = params.max_proposals
    chosen, gain = select(box[large], weight[large], limit, max(2 * limit, min(10 * limit, POOL[params.mode])))
    chosen, gain = _with_whole_image(large[chosen], gain, box, params.max_proposals)
    return Selected(groupings, chosen, box[chosen], gain)


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
