"""The 28 x 28 training targets that follow from seeds, beside the true mask.

A detector's choice is imitated: its top box for an object is one of the proposals with IoU of at least 0.5 to the
object, drawn at random. Foreground are the proposals with IoU >= 0.5 to the top box; each takes the mask of the nearest
of the n^seed seeds nearest to the top box (section 3.3), sampled by the trainer's own functions.
"""

from typing import NamedTuple

import numpy as np
import torch

from data.boxes import pairwise_iou
from data.masks import to_box_frame
from pdsl.model.pseudo_labels import mask_targets, propagate

SIDE = 28
FOREGROUND = 24
"""Foreground proposals judged per object, drawn at random."""


class Case(NamedTuple):
    """An object under the eyes of a detector. top: (4,) float32; foreground: (f, 4) boxes; truth: (f, 28, 28) bool."""

    top: np.ndarray
    foreground: np.ndarray
    truth: np.ndarray


def choose_case(full: np.ndarray, own: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> Case | None:
    """An object of mask `full` (H, W) bool and box `own` (4,) among proposals `box` (n, 4); None if none is near."""
    good = np.flatnonzero(pairwise_iou(box, own[None])[:, 0] >= 0.5)
    if not len(good):
        return None
    top = box[rng.choice(good)]
    foreground = np.flatnonzero(pairwise_iou(box, top[None])[:, 0] >= 0.5)
    chosen = box[rng.permutation(foreground)[:FOREGROUND]]
    return Case(top, chosen, np.array([to_box_frame(full, frame, SIDE) for frame in chosen]))


def target_iou(case: Case, seed_box: np.ndarray, seed_mask: np.ndarray, n_seed: int | None) -> float:
    """Mean IoU of the targets of a case with its truth. seed_box: (q, 4) float32; seed_mask: (q, 56, 56) bool.

    n_seed None: every foreground proposal takes the nearest of all seeds instead.
    """
    order = np.argsort(-pairwise_iou(seed_box, case.top[None])[:, 0], kind="stable")[:n_seed]
    chosen = torch.zeros(len(seed_box), dtype=torch.bool)
    chosen[torch.from_numpy(order)] = True
    frame, boxes = torch.from_numpy(case.foreground), torch.from_numpy(seed_box)
    seed, _ = propagate(frame, boxes, chosen)
    target = mask_targets(frame, boxes, torch.from_numpy(seed_mask), seed, SIDE).numpy() > 0
    union = (target | case.truth).sum((1, 2))
    return float(((target & case.truth).sum((1, 2)) / np.maximum(union, 1)).mean())
