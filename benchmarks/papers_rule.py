"""The paper's seed acquisition as its authors run it inside every training step, in plain steps (section 3.3).

GrabCut on the n^seed proposals nearest to the top box of each present class; every foreground proposal takes the
full-image mask of the seed it overlaps most, cropped by its own box. Beside it the same from what the store caches, by
the trainer's own functions. Used by test_online_rule.py and benchmarks/online_rule.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch

from data.boxes import pairwise_iou
from data.masks import to_box_frame, unpack
from pdsl.model.boxes import clip
from pdsl.model.pseudo_labels import PseudoBoxes, choose_seeds, mask_targets, propagate
from stages.grabcut.parameters import GrabcutParams
from stages.grabcut.stage import seed_masks

SIDE = 28
LONG_SIDE = 400
POINTS = 4
"""Points a cell and axis at which a full-size mask is looked at; a cell is foreground from half of them on."""


@dataclass
class Case:
    """One image under the eyes of a detector.

    image: (H, W, 3) uint8. box: (n, 4) float32 proposals. top: (c, 4) top box of each present class. foreground: rows
    of `box` that get a target. Masks are computed once for each proposal and kept.
    """

    image: np.ndarray
    box: np.ndarray
    top: np.ndarray
    foreground: np.ndarray
    full: dict[int, np.ndarray] = field(default_factory=dict)
    framed: dict[int, np.ndarray] = field(default_factory=dict)

    def full_mask(self, row: int) -> np.ndarray:
        """GrabCut's mask of proposal `row` in the whole image, whose long side is 400: (h, w) bool."""
        return self._kept(self.full, row, lambda: grabcut(self.image, self.box[row]))

    def framed_mask(self, row: int) -> np.ndarray:
        """What the stage would store for proposal `row` with the method `opencv`: (56, 56) bool."""
        params = GrabcutParams(method="opencv")
        return self._kept(
            self.framed, row, lambda: unpack(seed_masks(self.image, self.box[row : row + 1], params).packed)[0]
        )

    @staticmethod
    def _kept(kept: dict[int, np.ndarray], row: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        if row not in kept:
            kept[row] = make()
        return kept[row]


def grabcut(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The authors' setting: long side 400, rectangle, 5 iterations, an empty result becomes the whole box.

    Written against OpenCV alone.
    """
    height, width = image.shape[:2]
    factor = LONG_SIDE / max(height, width)
    small = cv2.resize(image, (int(width * factor), int(height * factor)))[..., ::-1].copy()
    x0, y0, x1, y1 = (int(v) for v in box.astype(np.float64) * factor)
    labels = np.zeros(small.shape[:2], np.uint8)
    rectangle = (x0, y0, max(x1 - x0, 2), max(y1 - y0, 2))
    if rectangle[2] * rectangle[3] >= labels.size:
        rectangle = (3, 3, small.shape[1] - 6, small.shape[0] - 6)
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(small, labels, rectangle, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_RECT)
    except cv2.error:
        labels[:] = 0
    mask = (labels & 1).astype(bool)
    if not mask.any():
        mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return mask


def crop(full: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A full-image mask cropped by a box in its frame: (28, 28) bool."""
    return to_box_frame(full, box, SIDE * POINTS).reshape(SIDE, POINTS, SIDE, POINTS).mean((1, 3)) >= 0.5


def online_targets(case: Case, n_seed: int) -> np.ndarray:
    """(f, 28, 28) bool targets of the foreground proposals by the online rule."""
    seeds: set[int] = set()
    for top in case.top:
        iou = pairwise_iou(case.box, top[None])[:, 0]
        seeds.update(np.argsort(-iou, kind="stable")[:n_seed].tolist())
    order = sorted(seeds)
    frames = clip(torch.from_numpy(case.box[case.foreground]), case.image.shape[:2]).numpy()
    frames = frames.astype(np.float64) * (LONG_SIDE / max(case.image.shape[:2]))
    nearest = pairwise_iou(case.box[case.foreground], case.box[order]).argmax(1)
    return np.array([crop(case.full_mask(order[s]), frame) for s, frame in zip(nearest, frames, strict=True)])


def cached_targets(case: Case, seeds: np.ndarray, n_seed: int) -> np.ndarray:
    """(f, 28, 28) bool targets from cached box-frame masks of the proposals `seeds` (q,), as in a training step."""
    classes = len(case.top)
    every = torch.ones(classes, dtype=torch.bool)
    pseudo = PseudoBoxes(torch.zeros(classes, dtype=torch.int64), torch.from_numpy(case.top), every.float(), every)
    seed_box = torch.from_numpy(case.box[seeds])
    chosen = choose_seeds(pseudo, seed_box, torch.ones(len(seeds), dtype=torch.bool), n_seed)
    box = torch.from_numpy(case.box[case.foreground])
    seed, _ = propagate(box, seed_box, chosen)
    used = np.unique(seed.numpy())
    masks = torch.zeros(len(seeds), 56, 56, dtype=torch.bool)
    for q in used:
        masks[q] = torch.from_numpy(case.framed_mask(int(seeds[q])))
    frame = clip(box, case.image.shape[:2])
    return mask_targets(frame, seed_box, masks, seed, SIDE).numpy() > 0


def mean_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Mean IoU of two stacks of masks (f, h, w); two empty masks agree."""
    both, either = (a & b).sum((1, 2)), (a | b).sum((1, 2))
    return float(np.where(either > 0, both / np.maximum(either, 1), 1.0).mean())
