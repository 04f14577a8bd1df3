"""Seed masks at inference: what colours and contours say of a detection's box, beside what the mask heads say.

Heads that saw some hundred images know where in a box an object usually is, seeds where this one ends.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.errors import InputError
from pdsl.model.boxes import pairwise_iou
from pdsl.model.pseudo_labels import mask_targets, propagate
from pdsl.raw_sample import unpack
from store.contents import GRABCUT, Proposals, Seeds, is_done, read_seeds
from store.errors import IncompleteStoreError
from store.store import Store

LEAST_IOU = 0.5
"""A seed whose box overlaps the detection's by less tells of something else; the heads decide alone."""


@dataclass(frozen=True)
class ImageSeeds:
    """Seeds of an image. box: (Q, 4) float32 xyxy in its frame; mask: (Q, 56, 56) bool in the boxes' frames."""

    box: Tensor
    mask: Tensor

    @classmethod
    def of(cls, proposals: Proposals, seeds: Seeds, device: torch.device) -> "ImageSeeds":
        """As the stages `proposals` and `grabcut` give them, on the device."""
        box = torch.tensor(proposals.box[seeds.proposal.astype("int64")], dtype=torch.float32, device=device)
        return cls(box, unpack(torch.tensor(seeds.mask, device=device)))


def blend(mask: Tensor, box: Tensor, seeds: ImageSeeds, weight: float) -> Tensor:
    """Mask probabilities of boxes, of which a share `weight` is the mask of the seed nearest to each box.

    mask: (D, s, s) float32 in the frames of box (D, 4) xyxy. Returns (D, s, s).
    """
    if not len(box) or not len(seeds.box):
        return mask
    every_seed = torch.ones(len(seeds.box), dtype=torch.bool, device=box.device)
    nearest, _ = propagate(box, seeds.box, every_seed)
    told = mask_targets(box, seeds.box, seeds.mask, nearest, mask.shape[-1])
    near = pairwise_iou(box, seeds.box).amax(1) >= LEAST_IOU
    return torch.where(near[:, None, None], torch.lerp(mask, told, weight), mask)


def require_seeds(store: Store, weight: float, rows: np.ndarray | None = None) -> None:
    """Refuses a store without the seed masks that `inference.seed_weight` asks for; rows: of these images alone."""
    if weight > 0:
        try:
            store.require(GRABCUT, rows=rows)
        except IncompleteStoreError as error:
            cure = "stage grabcut computes them, inference.seed_weight=0 in the run's configuration does without"
            raise InputError(f"{error}; the run blends its masks with seeds ({cure})") from error


def seeds_of(store: Store, row: int, proposals: Proposals, device: torch.device) -> ImageSeeds | None:
    """Those of image `row`; None where the stage failed for it."""
    return ImageSeeds.of(proposals, read_seeds(store, row), device) if is_done(store, GRABCUT, row) else None
