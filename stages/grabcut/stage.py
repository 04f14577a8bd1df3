"""The stage `grabcut`: seeds by the IoU graph, their masks in box frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.masks import MASK_SIDE, pack
from data.parameters import replace
from pipeline.spec import ArraySpec, Part, Stage, StageInput
from stages.grabcut.cover import greedy_cover
from stages.grabcut.parameters import GrabcutParams
from store import contents

STAGE = "grabcut"
PROPOSAL_MASKS = "proposal-masks"
"""The method that takes the masks of the proposals as they are; an empty one becomes the whole box."""
VERSION = 1

MEASURED_BOXES = 40
"""Boxes of an image that tell what method `opencv` costs: it takes some 0.3 s for each, whatever the others are."""

FARTHEST = 4.0
"""Boxes are cut off at this many long sides of the image from its origin, where coordinates still are plain numbers."""


@dataclass(frozen=True)
class ComputeGrabcut:
    """Rows of one image: seeds, masks (56 x 56, rows packed, most significant bit = leftmost), their number.

    step: every so many seeds only.
    """

    params: GrabcutParams
    step: int = 1

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        count = int(given.arrays[contents.PROPOSAL_COUNT])
        boxes = given.arrays[contents.PROPOSAL_BOX]
        rows = {spec.name: spec.row() for spec in _arrays(self.params, len(boxes))}
        if count == 0:
            return rows
        capacity = len(rows[contents.SEED_INDEX])
        if self.params.seeds == "all":
            seeds = np.arange(min(count, capacity))
        else:
            neighbor = given.arrays[contents.GRAPH_NEIGHBOR][:count]
            seeds = greedy_cover(boxes[:count], neighbor, self.params.cover_iou, capacity)
        seeds = seeds[:: self.step]
        rows[contents.SEED_INDEX][: len(seeds)] = seeds
        rows[contents.SEED_MASK][: len(seeds)] = self._packed_masks(given, boxes[seeds], seeds)
        rows[contents.SEED_COUNT] = np.asarray(len(seeds), np.int32)
        return rows

    def _packed_masks(self, given: StageInput, boxes: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """(q, 56, 7) uint8, none of them empty."""
        if self.params.method == PROPOSAL_MASKS:
            packed = given.arrays[contents.PROPOSAL_MASK][seeds]
            return np.where(packed.any((1, 2), keepdims=True), packed, np.uint8(255))
        if given.image is None:
            raise ValueError("stage grabcut needs the image's pixels")
        return pack(seed_masks(given.image, boxes, self.params))


def seed_masks(image: np.ndarray, boxes: np.ndarray, params: GrabcutParams) -> np.ndarray:
    """Masks (n, 56, 56) bool, none of them empty, in the frames of `boxes` (n, 4) xyxy of (H, W, 3) uint8 RGB.

    Boxes may leave the image; the mask of a box that is degenerate, not finite or far outside is the whole box.
    """
    masks = np.ones((len(boxes), MASK_SIDE, MASK_SIDE), bool)
    limit = FARTHEST * max(image.shape[:2])
    near = boxes.astype(np.float64).clip(-limit, limit)
    proper = np.isfinite(boxes).all(1) & (near[:, 2] > near[:, 0]) & (near[:, 3] > near[:, 1])
    if not proper.any():
        return masks
    chosen = near[proper]
    if params.method == "opencv":
        from stages.grabcut.opencv_grabcut import opencv_masks

        masks[proper] = opencv_masks(image, chosen, params.opencv)
    else:
        from stages.grabcut.colour_cut import colour_cut_masks

        masks[proper] = colour_cut_masks(image, chosen, params.colour_cut)
    return masks


def _arrays(params: GrabcutParams, capacity: int) -> tuple[ArraySpec, ...]:
    q = params.seed_capacity(capacity)
    return (
        ArraySpec(contents.SEED_INDEX, (q,), "uint16"),
        ArraySpec(contents.SEED_MASK, (q, MASK_SIDE, MASK_SIDE // 8), "uint8"),
        ArraySpec(contents.SEED_COUNT, (), "int32"),
    )


def grabcut_stage(settings: Mapping[str, Any], capacity: int) -> Stage:
    """The stage for proposals of capacity P. Raises InputError for unknown keys and bad values."""
    params = replace(GrabcutParams(), settings, STAGE)
    by_others = params.method == PROPOSAL_MASKS
    reads = (contents.PROPOSAL_BOX, contents.PROPOSAL_COUNT, contents.GRAPH_NEIGHBOR)
    step = max(1, params.seed_capacity(capacity) // MEASURED_BOXES)
    return Stage(
        name=STAGE,
        version=VERSION,
        params=params,
        arrays=_arrays(params, capacity),
        compute=ComputeGrabcut(params),
        reads=(*reads, contents.PROPOSAL_MASK) if by_others else reads,
        needs_image=not by_others,
        packages=("numpy", "numba") if by_others else ("numpy", "numba", "opencv-contrib-python-headless"),
        part=Part(ComputeGrabcut(params, step), 1 / step) if params.method == "opencv" else None,
    )
