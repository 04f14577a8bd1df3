"""COCO average precision of boxes and masks.

AP is the mean over IoU 0.50:0.05:0.95, 101 recall points, at most 100 detections per image and class. What is added to
pycocotools: IoU 0.25 and 0.70, VOC's difficult objects, and void pixels (`targets.py`); with neither in the data the
figures are those of plain pycocotools.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdsl.evaluate.coco_matching import THRESHOLDS, precision_table
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.targets import ImageTargets, Kind

NAMED = {"AP25": 0.25, "AP50": 0.50, "AP70": 0.70, "AP75": 0.75}
SIZES = {"APs": 1, "APm": 2, "APl": 3}
"""COCO's area ranges in COCOeval.params: below 32 x 32 pixels, up to 96 x 96, above."""


def coco_metrics(
    predictions: Sequence[Prediction], truth: Sequence[ImageTargets], class_names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """{"mask": {...}, "box": {...}} in percent: AP, AP25, AP50, AP70, AP75, APs, APm, APl, per_class.

    A figure is None where the truth has no object that could be found (COCO's -1), and where predictions or truth have
    no masks. `per_class` maps every class that has objects to its AP, AP25, AP50, AP70, AP75 and number of `objects`.
    Images without masks in a set that has some (VOC) do not take part in the mask metrics.
    Predictions must belong to images of `truth` (`results.read_results` checks it).
    """
    return {kind: table.figures() for kind, table in precision_tables(predictions, truth, class_names).items()}


@dataclass(frozen=True)
class PrecisionTable:
    """What all of COCO's figures of boxes or of masks are means of.

    precision: (T, R, C, A) over THRESHOLDS, 101 recall points, classes and area ranges, -1 where undefined; None where
    there are no masks. objects: by class, those to be found.
    """

    class_names: Sequence[str]
    precision: np.ndarray | None
    objects: Counter[int]

    def figures(self) -> dict[str, Any]:
        """One kind of `coco_metrics`."""
        if self.precision is None:
            return dict.fromkeys(("AP", *NAMED, *SIZES)) | {"per_class": {}}
        summary: dict[str, Any] = _figures(self.precision[:, :, :, 0])
        summary |= {name: _percent(self.precision[1:, :, :, index]) for name, index in SIZES.items()}
        summary["per_class"] = {
            name: _figures(self.precision[:, :, index, 0]) | {"objects": self.objects[index]}
            for index, name in enumerate(self.class_names)
            if self.objects[index]
        }
        return summary

    def curves(self) -> dict[str, np.ndarray]:
        """Of every class that has objects the best precision at each recall (101,) 0, 0.01 … 1 or more, at IoU 0.5:
        their means are the classes' AP50."""
        if self.precision is None:
            return {}
        at = self.precision[int(np.argmin(abs(THRESHOLDS - 0.5))), :, :, 0]
        return {name: at[:, index] for index, name in enumerate(self.class_names) if self.objects[index]}


def means_over(figures: Mapping[str, Any], class_names: Collection[str]) -> dict[str, float | None]:
    """AP, AP25, AP50, AP70 and AP75 of one kind of `coco_metrics`, as means over those of the classes that have
    objects; None where none has."""
    own = [found for name, found in figures["per_class"].items() if name in class_names]
    return {name: round(sum(f[name] for f in own) / len(own), 4) if own else None for name in ("AP", *NAMED)}


def precision_tables(
    predictions: Sequence[Prediction], truth: Sequence[ImageTargets], class_names: Sequence[str]
) -> Mapping[Kind, PrecisionTable]:
    """Detections matched as COCO does, of kind mask and box."""
    kinds: tuple[Kind, Kind] = ("mask", "box")
    return {kind: _precision_table(predictions, truth, class_names, kind) for kind in kinds}


def _precision_table(
    predictions: Sequence[Prediction], truth: Sequence[ImageTargets], class_names: Sequence[str], kind: Kind
) -> PrecisionTable:
    images = truth if kind == "box" else [image for image in truth if image.truth.has_masks]
    known = {image.id for image in images}
    used = [p for p in predictions if p.image_id in known and (kind == "box" or p.mask is not None)]
    if kind == "mask" and predictions and not any(p.mask is not None for p in predictions):
        images = []
    if not images:
        return PrecisionTable(class_names, None, Counter())
    precision = precision_table(used, images, len(class_names), kind)
    counts = Counter(
        class_id
        for image in images
        for class_id, targets in image.of(kind).items()
        for target in targets
        if target.role == "object"
    )
    return PrecisionTable(class_names, precision, counts)


def _figures(precision: np.ndarray) -> dict[str, float | None]:
    """AP and AP at the named thresholds of a (T, R, …) precision table whose first row is IoU 0.25."""
    figures = {"AP": _percent(precision[1:])}
    for name, threshold in NAMED.items():
        figures[name] = _percent(precision[int(np.argmin(abs(THRESHOLDS - threshold)))])
    return figures


def _percent(precision: np.ndarray) -> float | None:
    valid = precision[precision > -1]
    return round(100 * float(valid.mean()), 4) if valid.size else None
