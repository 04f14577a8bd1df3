"""Seed masks by `colour-cut`: GrabCut's idea, colour models of the two sides of a box, with priors that keep it from
collapsing, and the choice of cells that maximises the expected IoU in place of a graph cut.

Evidence is a sum of log odds per cell of the box frame: enclosure by contours, regions of the image's hierarchy, and
the colour ratio, re-estimated once. Overlapping boxes vote on each other's cells.
"""

from typing import NamedTuple

import numpy as np

from data.masks import MASK_SIDE
from stages.compiled import compiled
from stages.grabcut.consensus import vote
from stages.grabcut.evidence import boxes_evidence
from stages.grabcut.image_model import build_image_model
from stages.grabcut.parameters import ColourCutParams
from stages.grabcut.threshold import best_threshold, level_of

TRUST = 4.0
"""A box's vote weighs the IoU that it expects of its own mask to this power."""

SMALLEST = 0.03
"""A mask of less than this share of its box is a failure; the inscribed ellipse of 0.85 takes its place."""


class Masks(NamedTuple):
    """mask: (n, 56, 56) bool, none of them empty; expected_iou: (n,) float64, as `threshold.best_threshold` has it."""

    mask: np.ndarray
    expected_iou: np.ndarray


def colour_cut_masks(image: np.ndarray, boxes: np.ndarray, params: ColourCutParams) -> Masks:
    """Masks in the frames of `boxes` (n, 4) float64 xyxy, which have an area, of `image` (H, W, 3) uint8 RGB."""
    evidence = boxes_evidence(build_image_model(image, params), boxes, params)
    if params.vote_iou < 1:
        evidence = vote(evidence, choose(evidence).expected_iou ** TRUST, boxes, params.vote_iou)
    return choose(evidence)


def choose(evidence: np.ndarray) -> Masks:
    """The masks of largest expected IoU for log odds (n, 56, 56) float32."""
    mask, expected = _choose(evidence)
    mask[mask.mean((1, 2)) < SMALLEST] = ellipse()
    return Masks(mask, expected)


@compiled
def _choose(evidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mask, expected = np.empty(evidence.shape, np.bool_), np.empty(len(evidence))
    for i in range(len(evidence)):
        level, expected[i] = best_threshold(evidence[i])
        for y in range(evidence.shape[1]):
            for x in range(evidence.shape[2]):
                mask[i, y, x] = level_of(evidence[i, y, x]) >= level
    return mask, expected


def ellipse() -> np.ndarray:
    """(56, 56) bool."""
    t = (2 * np.arange(MASK_SIDE) + 1) / MASK_SIDE - 1
    return np.asarray(t[:, None] ** 2 + t[None] ** 2 < 0.85**2)
