"""From scores and boxes of all proposals to the final boxes of an image."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from pdsl.config.inference import InferenceConfig
from pdsl.model.boxes import area, clip


@dataclass(frozen=True)
class FinalBoxes:
    """box: (D, 4) float32 xyxy, clipped to the image; score: (D,) float32; label: (D,) int64; best first."""

    box: Tensor
    score: Tensor
    label: Tensor


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
    row, label = alive.nonzero(as_tuple=True)
    score, box = score[row, label], box[row, label]
    kept = batched_nms(box, score, label, config.nms)
    if present is not None:
        kept = _best_of_each_first(kept, label[kept])
    kept = kept[: config.detections]
    kept = kept[score[kept].argsort(descending=True, stable=True)]
    return FinalBoxes(box[kept], score[kept], label[kept])


def _best_of_each_first(kept: Tensor, label: Tensor) -> Tensor:
    """`kept` (best first) with the first of each class moved to the front."""
    same_before = (label[:, None] == label[None]).tril(-1).any(1)
    return torch.cat([kept[~same_before], kept[same_before]])
