"""Non-maximum suppression within classes: what torchvision's loop over classes keeps, of all classes at once.

Boxes are judged a block at a time, best first. Within a block the greedy rule, that a box is kept if no better one that
is kept overlaps it, is applied to all boxes at once, again and again until it changes nothing: round k is right for
every box at the end of a chain of at most k others. So shapes depend neither on scores nor on the number of classes,
and the host waits for the device once a block, of which an image needs one or two.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

BLOCK, DEVICE_BLOCK = 256, 1024
"""Boxes that are judged together, on a CPU, where every pair costs, and elsewhere, where every wait does."""
ROUNDS = 6
"""Rounds before the host asks whether they still changed something; chains are seldom longer."""


def suppress(score: Tensor, box: Tensor, alive: Tensor, threshold: float, most: int) -> Tensor:
    """The first boxes, best first, that suppression within each class leaves: (K,) int64 places in `score.flatten()`.

    score: (P, C) float32; box: (P, C, 4) float32 xyxy; alive: (P, C) bool, the boxes that take part, all with an area.
    A box falls if a better one of its class that is kept, of equal ones an earlier, overlaps it by an IoU of more than
    `threshold`. All boxes that are kept, if they are fewer than `most`, at least `most` of them otherwise.
    """
    n_classes = score.shape[1]
    ranked, order = torch.where(alive, score, -math.inf).flatten().sort(descending=True, stable=True)
    flat = box.reshape(-1, 4)
    limit = _not_above(threshold)

    def rivals(better: Tensor, worse: Tensor) -> Tensor:
        """(N, M) bool: which boxes would suppress which, by their places."""
        same = (better % n_classes)[:, None] == worse % n_classes
        return same & (box_iou(flat[better], flat[worse]) > limit)

    size = BLOCK if score.is_cpu else DEVICE_BLOCK
    kept = order[:0]
    for block, value in zip(order.split(size), ranked.split(size), strict=True):
        candidate = (value > -math.inf) & ~rivals(kept, block).any(0)
        kept = torch.cat([kept, block[_greedy(candidate, rivals(block, block).triu(1))]])
        if len(kept) >= most or bool((value == -math.inf).any()):
            break
    return kept


def _greedy(candidate: Tensor, rivals: Tensor) -> Tensor:
    """The candidates that no kept one suppresses, as places (K,) int64. candidate: (N,) bool, best first; rivals:
    (N, N) bool, strictly upper triangular: whom each would suppress."""
    suppressed_by = rivals.to(torch.float32)
    keep = candidate
    while True:
        for _ in range(ROUNDS):
            before, keep = keep, candidate & (keep.to(torch.float32) @ suppressed_by == 0)
        count, changed = torch.stack([keep.sum(), (keep != before).sum()]).tolist()
        if not changed:
            return keep.to(torch.uint8).sort(descending=True, stable=True).indices[:count]


def _not_above(threshold: float) -> float:
    """The largest float32 that is not above: IoU, which are float32, exceed either alike."""
    nearest = np.float32(threshold)
    return float(nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-1)))
