"""From scores and boxes of all proposals to the final boxes of an image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pdsl.config.inference import InferenceConfig
from pdsl.evaluate.suppression import suppress
from pdsl.model.boxes import area, clip


@dataclass(frozen=True)
class FinalBoxes:
    """box: (D, 4) float32 xyxy, clipped to the image; score: (D,) float32; label: (D,) int64; best first."""

    box: Tensor
    score: Tensor
    label: Tensor


def joint_score(refined: Tensor, mil: Tensor, weight: float) -> Tensor:
    """What both say of each proposal and class: the geometric mean of the refinement heads' scores (P, C) and of S^0
    (P, C), the latter weighed by `weight` of 0..1."""
    return refined.pow(1 - weight) * mil.pow(weight) if weight else refined


def final_boxes(
    score: Tensor, box: Tensor, size: tuple[int, int], config: InferenceConfig, present: Tensor | None = None
) -> FinalBoxes:
    """Clip, drop what scores below the threshold, NMS within each class, keep the best.

    score: (P, C) class probabilities; box: (P, C, 4) xyxy; size: (height, width). Boxes without area are dropped.
    present: (C,) bool; if given, only these classes are considered, and the best box of each is kept whatever its score
        and however many better ones there are.
    """
    box = clip(box, size)
    alive = (score > config.score_threshold) & (area(box) > 0)
    if present is not None:
        best = torch.where(area(box) > 0, score, -1.0).argmax(0)
        alive[best, torch.arange(score.shape[1], device=score.device)] |= area(box).amax(0) > 0
        alive &= present
    kept = suppress(score, box, alive, config.nms, config.detections)
    if present is not None:
        kept = _with_best_of_each(kept, score, alive)
    kept = kept[: config.detections]
    score = score.flatten()[kept]
    ranked = score.argsort(descending=True, stable=True)
    kept = kept[ranked]
    return FinalBoxes(box.reshape(-1, 4)[kept], score[ranked], kept % alive.shape[1])


def _with_best_of_each(kept: Tensor, score: Tensor, alive: Tensor) -> Tensor:
    """The best box of each class, best first, and then the others of `kept`: places in `score.flatten()`."""
    best_score, row = torch.where(alive, score, -1.0).max(0)
    best = row * alive.shape[1] + torch.arange(alive.shape[1], device=row.device)
    best = best[best_score.argsort(descending=True, stable=True)]
    best = best[alive.flatten()[best]]
    return torch.cat([best, kept[~torch.isin(kept, best)]])
