"""Ground truth as the metrics see it: what a detection is compared with, and what matching it means."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pycocotools import mask as rle_tools

from data.boxes import area as box_area
from data.boxes import xyxy_to_xywh
from data.truth import ImageTruth, TruthObject
from pdsl.evaluate.predictions import Prediction, box_mask
from pdsl.evaluate.protocols import Protocol

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
    item: the annotated object; None: void.
    """

    shape: Any
    area: float
    role: Role
    item: TruthObject | None = field(default=None, compare=False, repr=False)


class ImageTargets:
    """The truth of one image with its targets under a protocol, which are made once, when first asked for: every
    figure takes them."""

    def __init__(self, truth: ImageTruth, protocol: Protocol) -> None:
        self.truth = truth
        self.protocol = protocol

    @property
    def id(self) -> str:
        """As the data set names the image."""
        return self.truth.id

    def of(self, kind: Kind) -> Mapping[int, Sequence[Target]]:
        """Targets by class id; of kind mask for images annotated with masks (others have none)."""
        return self._boxes if kind == "box" else self._masks

    @cached_property
    def void(self) -> Target | None:
        """The pixels without a verdict as a mask target of every class, or None where the protocol knows none."""
        area = (
            0.0 if self.truth.void is None or not self.protocol.no_verdict else float(rle_tools.area(self.truth.void))
        )
        return Target(self.truth.void, area, "void") if area else None

    @cached_property
    def _boxes(self) -> dict[int, list[Target]]:
        return _by_class(self, "box")

    @cached_property
    def _masks(self) -> dict[int, list[Target]]:
        return _by_class(self, "mask") if self.truth.has_masks else {}

    def role(self, item: TruthObject, kind: Kind) -> Role:
        """What the protocol makes of an annotated object."""
        counts = self.protocol.difficult_boxes if kind == "box" else self.protocol.difficult_masks
        return "crowd" if item.crowd else "difficult" if item.difficult and not counts else "object"


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
    return prediction.mask if kind == "mask" else list(prediction.bbox or xyxy_to_xywh(prediction.box).tolist())


def _by_class(image: ImageTargets, kind: Kind) -> dict[int, list[Target]]:
    found: dict[int, list[Target]] = defaultdict(list)
    for item in image.truth.objects:
        if item.has_box if kind == "box" else item.mask is not None:
            found[item.class_id].append(_target(item, image.role(item, kind), kind))
        elif kind == "mask" and image.protocol.no_verdict:  # has a box but no mask in an image that has masks
            role: Role = "crowd" if item.crowd else "difficult"
            found[item.class_id].append(Target(box_mask(item.box, image.truth.size), _area(item), role, item))
    return dict(found)


def _target(item: TruthObject, role: Role, kind: Kind) -> Target:
    shape = item.mask if kind == "mask" else list(item.bbox or xyxy_to_xywh(item.box.astype(np.float64)).tolist())
    return Target(shape, _area(item), role, item)


def _area(item: TruthObject) -> float:
    if item.area is not None:
        return item.area
    return float(box_area(item.box)) if item.mask is None else float(rle_tools.area(item.mask))
