"""Ground truth as the metrics see it: what a detection is compared with, and what matching it means."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pycocotools import mask as rle_tools

from data.boxes import area as box_area
from data.boxes import xyxy_to_xywh
from data.truth import ImageTruth, TruthObject
from pdsl.evaluate.predictions import Prediction, box_mask

Kind = Literal["box", "mask"]
Role = Literal["object", "difficult", "crowd", "void"]

VOID_SHARE = 0.5
"""A detection with more than this share of its pixels in void is neither hit nor miss, unless it hits an object."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a detection of one class in one image may match.

    shape: xywh list (kind box) or full-image RLE (kind mask), as pycocotools takes them.
    area: square pixels, by which COCO sorts into small, medium and large.
    role: `object` counts; a match with any other role makes the detection neither hit nor miss:
        `difficult` by IoU, `crowd` by the share of the detection inside it, `void` by VOID_SHARE.
    """

    shape: Any
    area: float
    role: Role


def targets_of(image: ImageTruth, kind: Kind) -> dict[int, list[Target]]:
    """Targets by class id; of kind mask for images annotated with masks (others have none)."""
    found: dict[int, list[Target]] = defaultdict(list)
    if kind == "mask" and not image.has_masks:
        return found
    for item in image.objects:
        found[item.class_id].append(_target(item, image.size, kind))
    return found


def void_target(image: ImageTruth) -> Target | None:
    """The pixels without a verdict as a target of every class, or None where there are none."""
    if image.void is None:
        return None
    area = float(rle_tools.area(image.void))
    return Target(image.void, area, "void") if area else None


def overlap(predictions: Sequence[Prediction], targets: Sequence[Target], kind: Kind) -> np.ndarray:
    """How much each prediction matches each target: (D, G) float64 in 0..1.

    IoU for objects and difficult ones; for a crowd the share of the prediction inside it; for void 1 where that share
    is more than VOID_SHARE, else 0.
    """
    if not predictions or not targets:
        return np.zeros((len(predictions), len(targets)))
    shapes = [prediction_shape(p, kind) for p in predictions]
    regions = [int(t.role in ("crowd", "void")) for t in targets]
    values = np.asarray(rle_tools.iou(shapes, [t.shape for t in targets], regions), np.float64)
    void = np.array([t.role == "void" for t in targets])
    values[:, void] = values[:, void] > VOID_SHARE
    return values


def prediction_shape(prediction: Prediction, kind: Kind) -> Any:
    """xywh list or RLE. A prediction without mask never reaches kind mask (`results` sees to it)."""
    return prediction.mask if kind == "mask" else [float(v) for v in xyxy_to_xywh(prediction.box)]


def _target(item: TruthObject, size: tuple[int, int], kind: Kind) -> Target:
    role: Role = "crowd" if item.crowd else "difficult" if item.difficult else "object"
    area = item.area if item.area is not None else _area(item)
    if kind == "box":
        return Target([float(v) for v in xyxy_to_xywh(item.box.astype(np.float64))], area, role)
    if item.mask is None:  # has a box but no mask in an image that has masks: no verdict on what is found there
        return Target(box_mask(item.box, size), area, "crowd" if role == "crowd" else "difficult")
    return Target(item.mask, area, role)


def _area(item: TruthObject) -> float:
    return float(box_area(item.box)) if item.mask is None else float(rle_tools.area(item.mask))
