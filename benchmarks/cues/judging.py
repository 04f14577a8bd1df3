"""How well the proposals and seeds of an image fit its annotated objects."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from benchmarks.cues.targets import choose_case, target_iou
from data import rle
from data.boxes import area, pairwise_iou
from data.masks import paste, unpack
from data.truth import ImageTruth, TruthObject
from store import contents

NUMBERS = (2000, 1000, 500, 100)
N_SEED = 10
"""Of the training targets, as in the paper."""
LEAST_IOU = 0.5
NEAR = 20
"""Seeds whose masks are looked at for an object: those of highest box IoU."""


class ObjectScore(NamedTuple):
    """One object. image: row in the split; place: among the image's objects; area: square pixels as annotated.

    objects: how many the image has; largest: the share of the image that its largest object's box takes.
    box: best box IoU among the first proposals, by NUMBERS. mask: best mask IoU of the NEAR seeds of highest box IoU.
    seed: mask IoU of the one seed of highest box IoU; target: mean IoU of the training targets. Both are nan where no
    proposal (or seed) overlaps the object by half or more.
    """

    image: int
    place: int
    area: float
    objects: int
    largest: float
    box: tuple[float, ...]
    mask: float
    seed: float
    target: float


def objects_of(truth: ImageTruth) -> list[tuple[int, TruthObject]]:
    """Places and objects that count: with a mask and a box of some size, no crowds."""
    return [
        (place, item)
        for place, item in enumerate(truth.objects)
        if item.mask is not None and not item.crowd and area(item.box) > 0
    ]


def judge_objects(arrays: Mapping[str, np.ndarray], truth: ImageTruth, row: int) -> list[ObjectScore]:
    """The objects of image `row` by what the three stages gave: `arrays` by their names in the store."""
    objects = objects_of(truth)
    proposals = arrays[contents.PROPOSAL_BOX][: int(arrays[contents.PROPOSAL_COUNT])]
    count = int(arrays[contents.SEED_COUNT])
    seed_box = proposals[arrays[contents.SEED_INDEX][:count]]
    seed_mask = unpack(arrays[contents.SEED_MASK][:count])
    largest = max((float(area(item.box)) for _, item in objects), default=0.0) / max(np.prod(truth.size), 1)
    rng = np.random.default_rng(row)
    scores = []
    for place, item in objects:
        full = rle.decode(item.mask)
        overlap = pairwise_iou(item.box[None], proposals)[0]
        best = tuple(float(overlap[:number].max(initial=0)) for number in NUMBERS)
        mask, seed = _seeds(full, item.box, seed_box, seed_mask)
        case = choose_case(full, item.box, proposals, rng) if count else None
        target = np.nan if case is None else target_iou(case, seed_box, seed_mask, N_SEED)
        pixels = float(full.sum()) if item.area is None else item.area
        scores.append(ObjectScore(row, place, pixels, len(objects), largest, best, mask, seed, target))
    return scores


def nearest_seeds(own: np.ndarray, seed_box: np.ndarray) -> np.ndarray:
    """The NEAR of boxes (q, 4) that overlap box `own` (4,) most, best first: indices."""
    return np.argsort(-pairwise_iou(own[None], seed_box)[0], kind="stable")[:NEAR]


def mask_iou(mask: np.ndarray, box: np.ndarray, full: np.ndarray) -> float:
    """IoU of a mask (56, 56) bool in the frame of `box` (4,) with one of the image (H, W) bool."""
    drawn = paste(mask, box, (full.shape[0], full.shape[1]))
    return float((drawn & full).sum() / max((drawn | full).sum(), 1))


def _seeds(full: np.ndarray, own: np.ndarray, seed_box: np.ndarray, seed_mask: np.ndarray) -> tuple[float, float]:
    """(best mask IoU, that of the seed whose box fits best or nan) of an object."""
    near = nearest_seeds(own, seed_box)
    found = [mask_iou(seed_mask[q], seed_box[q], full) for q in near]
    fits = len(near) > 0 and pairwise_iou(own[None], seed_box[near[:1]])[0, 0] >= LEAST_IOU
    return max(found, default=0.0), found[0] if fits else np.nan


def judge_seeds(box: np.ndarray, mask: np.ndarray, truth: ImageTruth) -> list[tuple[int, float, float]]:
    """(seed, IoU with its object, area of the object's box) of the seeds that have one.

    A seed counts if its box overlaps an object by half or more; the object of highest IoU is its object. box: (q, 4);
    mask: (q, 56, 56) bool.
    """
    objects = [item for _, item in objects_of(truth)]
    if not objects:
        return []
    overlap = pairwise_iou(box, np.array([item.box for item in objects], np.float32))
    full = [rle.decode(item.mask) for item in objects]
    found = []
    for seed in np.flatnonzero(overlap.max(1) >= LEAST_IOU):
        nearest = int(overlap[seed].argmax())
        iou = mask_iou(mask[seed], box[seed], full[nearest])
        found.append((int(seed), iou, float(area(objects[nearest].box))))
    return found
