"""The stage `grabcut`: seeds by the IoU graph, their masks in box frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from data.masks import MASK_SIDE, pack
from data.parameters import replace
from pipeline.spec import ArraySpec, Stage, StageInput
from stages.grabcut.cover import greedy_cover
from stages.grabcut.parameters import GrabcutParams
from store import contents

STAGE = "grabcut"
PROPOSAL_MASKS = "proposal-masks"
"""The method that takes the masks of the proposals as they are; an empty one becomes the whole box."""
VERSION = 4
"""2: OpenCV runs the contour net. 3: `colour-cut` without a graph cut; `grabcut/quality`. 4: larger working size."""

MEASURED_BOXES = 40
"""Boxes of an image that tell what method `opencv` costs: it takes some 0.3 s for each, whatever the others are."""

FARTHEST = 4.0
"""Boxes are cut off at this many long sides of the image from its origin, where coordinates still are plain numbers."""


@dataclass(frozen=True)
class ComputeGrabcut:
    """Rows of one image: seeds, masks (56 x 56, rows packed, most significant bit = leftmost), their number.

    most: masks of about so many seeds only, spread over all.
    """

    params: GrabcutParams
    most: int | None = None

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        count = int(given.arrays[contents.PROPOSAL_COUNT])
        boxes = given.arrays[contents.PROPOSAL_BOX]
        rows = {spec.name: spec.row() for spec in _arrays(self.params, len(boxes))}
        if count == 0:
            return rows
        seeds = self._fewer(self.seeds(given.arrays))
        masks = self._masks(given, boxes[seeds], seeds)
        rows[contents.SEED_INDEX][: len(seeds)] = seeds
        rows[contents.SEED_MASK][: len(seeds)] = masks.packed
        if masks.quality is not None:
            rows[contents.SEED_QUALITY][: len(seeds)] = masks.quality
        rows[contents.SEED_COUNT] = np.asarray(len(seeds), np.int32)
        return rows

    def seeds(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Indices (q,) of the proposals that are to have a mask, by the rows of proposals and graph."""
        count, boxes = int(arrays[contents.PROPOSAL_COUNT]), arrays[contents.PROPOSAL_BOX]
        capacity = self.params.seed_capacity(len(boxes))
        if self.params.seeds == "all" or count == 0:
            return np.arange(min(count, capacity))
        neighbor = arrays[contents.GRAPH_NEIGHBOR][:count]
        return greedy_cover(boxes[:count], neighbor, self.params.cover_iou, capacity)

    def share(self, arrays: Mapping[str, np.ndarray]) -> float:
        """The share of an image's seeds whose masks are computed."""
        seeds = self.seeds(arrays)
        return len(self._fewer(seeds)) / max(len(seeds), 1) or 1.0

    def _fewer(self, seeds: np.ndarray) -> np.ndarray:
        return seeds if self.most is None else seeds[:: max(1, len(seeds) // self.most)]

    def _masks(self, given: StageInput, boxes: np.ndarray, seeds: np.ndarray) -> "SeedMasks":
        if self.params.method == PROPOSAL_MASKS:
            packed = given.arrays[contents.PROPOSAL_MASK][seeds]
            return SeedMasks(np.where(packed.any((1, 2), keepdims=True), packed, np.uint8(255)), None)
        if given.image is None:
            raise ValueError("stage grabcut needs the image's pixels")
        return seed_masks(given.image, boxes, self.params)


class SeedMasks(NamedTuple):
    """packed: (n, 56, 7) uint8, none of them empty; quality: (n,) expected IoU, None where a method tells none."""

    packed: np.ndarray
    quality: np.ndarray | None


def seed_masks(image: np.ndarray, boxes: np.ndarray, params: GrabcutParams) -> SeedMasks:
    """Masks in the frames of `boxes` (n, 4) xyxy of (H, W, 3) uint8 RGB by method `colour-cut` or `opencv`.

    Boxes may leave the image; the mask of a box that is degenerate, not finite or far outside is the whole box, of
    quality 0.
    """
    masks, quality = np.ones((len(boxes), MASK_SIDE, MASK_SIDE), bool), np.zeros(len(boxes))
    limit = FARTHEST * max(image.shape[:2])
    near = boxes.astype(np.float64).clip(-limit, limit)
    proper = np.isfinite(boxes).all(1) & (near[:, 2] > near[:, 0]) & (near[:, 3] > near[:, 1])
    if params.method == "opencv":
        from stages.grabcut.opencv_grabcut import opencv_masks

        masks[proper] = opencv_masks(image, near[proper], params.opencv)
        return SeedMasks(pack(masks), None)
    if proper.any():
        from stages.grabcut.colour_cut import colour_cut_masks
        from stages.grabcut.quality import seed_quality

        found = colour_cut_masks(image, near[proper], params.colour_cut)
        masks[proper], quality[proper] = found.mask, seed_quality(found.expected_iou)
    return SeedMasks(pack(masks), quality)


def _arrays(params: GrabcutParams, capacity: int) -> tuple[ArraySpec, ...]:
    q = params.seed_capacity(capacity)
    arrays: tuple[ArraySpec, ...] = (
        ArraySpec(contents.SEED_INDEX, (q,), "uint16"),
        ArraySpec(contents.SEED_MASK, (q, MASK_SIDE, MASK_SIDE // 8), "uint8"),
        ArraySpec(contents.SEED_COUNT, (), "int32"),
    )
    return (*arrays, ArraySpec(contents.SEED_QUALITY, (q,), "float16")) if params.method == "colour-cut" else arrays


def grabcut_stage(settings: Mapping[str, Any], capacity: int) -> Stage:
    """The stage for proposals of capacity P. Raises InputError for unknown keys and bad values."""
    params = replace(GrabcutParams(), settings, STAGE)
    by_others = params.method == PROPOSAL_MASKS
    reads = (contents.PROPOSAL_BOX, contents.PROPOSAL_COUNT, contents.GRAPH_NEIGHBOR)
    return Stage(
        name=STAGE,
        version=VERSION,
        params=params,
        arrays=_arrays(params, capacity),
        compute=ComputeGrabcut(params),
        reads=(*reads, contents.PROPOSAL_MASK) if by_others else reads,
        needs_image=not by_others,
        packages=("numpy", "numba") if by_others else ("numpy", "numba", "opencv-contrib-python-headless"),
        memory=600_000_000,
        part=ComputeGrabcut(params, MEASURED_BOXES) if params.method == "opencv" else None,
    )
