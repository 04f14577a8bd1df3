"""COCO average precision of boxes and masks, computed by pycocotools.

AP is the mean over IoU 0.50:0.05:0.95, 101 recall points, at most 100 detections per image and class. What is added to
pycocotools: IoU 0.25 and 0.70, VOC's difficult objects, and void pixels (`targets.py`); with neither in the data the
figures are those of plain pycocotools.
"""

import contextlib
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.targets import ImageTargets, Kind, Target, overlap, prediction_shape

COCO_THRESHOLDS = np.linspace(0.5, 0.95, 10)
THRESHOLDS = np.concatenate([[0.25], COCO_THRESHOLDS])
NAMED = {"AP25": 0.25, "AP50": 0.50, "AP70": 0.70, "AP75": 0.75}
SIZES = {"APs": 1, "APm": 2, "APl": 3}
"""COCO's area ranges in COCOeval.params: below 32 x 32 pixels, up to 96 x 96, above."""
DETECTIONS_PER_IMAGE = 100


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
    precision = _Evaluation(used, images, len(class_names), kind).precision()
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


class _Evaluation(COCOeval):
    """COCOeval with the overlaps of `targets.overlap`. Everything that is not an `object` is passed as a crowd, which
    pycocotools ignores and lets match any number of detections."""

    def __init__(
        self, predictions: Sequence[Prediction], images: Sequence[ImageTargets], n_classes: int, kind: Kind
    ) -> None:
        self.kind: Kind = kind
        rows = {image.id: row for row, image in enumerate(images, 1)}
        base = {
            "images": [{"id": rows[i.id], "height": i.truth.size[0], "width": i.truth.size[1]} for i in images],
            "categories": [{"id": class_id} for class_id in range(n_classes)],
        }
        detections = [_detection(p, rows[p.image_id], kind) for p in predictions]
        detected = defaultdict(set)
        for p in predictions:
            detected[p.image_id].add(p.class_id)
        annotations = [
            _annotation(target, rows[image.id], class_id)
            for image in images
            for class_id, target in _all_targets(image, kind, detected[image.id])
        ]
        with _silence():
            super().__init__(_index(base, annotations), _index(base, detections), "bbox" if kind == "box" else "segm")
        self.params.iouThrs = THRESHOLDS
        self.params.maxDets = [DETECTIONS_PER_IMAGE]

    def precision(self) -> np.ndarray:
        """(T, R, C, A) precision over thresholds, recall points, classes and area ranges; -1 where undefined."""
        with _silence():
            self.evaluate()
            self.accumulate()
        table: np.ndarray = self.eval["precision"]
        return table[..., 0]

    def computeIoU(self, imgId: int, catId: int) -> np.ndarray | list[float]:
        """Overlaps (D, G) of the best detections, in the order in which pycocotools sorts them."""
        detections, annotations = self._dts[imgId, catId], self._gts[imgId, catId]
        if not detections or not annotations:
            return []
        order = np.argsort([-d["score"] for d in detections], kind="mergesort")[: self.params.maxDets[-1]]
        return overlap([detections[i]["prediction"] for i in order], [a["target"] for a in annotations], self.kind)


def _all_targets(image: ImageTargets, kind: Kind, classes: set[int]) -> list[tuple[int, Target]]:
    """Targets of all classes, with the void region for every class that was detected in this image."""
    pairs = [(class_id, target) for class_id, targets in image.of(kind).items() for target in targets]
    void = image.void if kind == "mask" else None
    return pairs + ([(class_id, void) for class_id in sorted(classes)] if void else [])


def _detection(prediction: Prediction, row: int, kind: Kind) -> dict[str, Any]:
    return {
        "image_id": row,
        "category_id": prediction.class_id,
        "score": prediction.score,
        "bbox": prediction_shape(prediction, "box"),
        "segmentation": prediction.mask,
        "area": prediction.area(kind),
        "prediction": prediction,
    }


def _annotation(target: Target, row: int, class_id: int) -> dict[str, Any]:
    shape = "segmentation" if isinstance(target.shape, dict) else "bbox"
    return {
        "image_id": row,
        "category_id": class_id,
        "area": target.area,
        "iscrowd": int(target.role != "object"),
        shape: target.shape,
        "target": target,
    }


def _index(base: dict[str, Any], annotations: list[dict[str, Any]]) -> COCO:
    for number, annotation in enumerate(annotations, 1):  # pycocotools takes id 0 for "no match"
        annotation["id"] = number
    coco = COCO()
    coco.dataset = base | {"annotations": annotations}
    coco.createIndex()
    return coco


def _silence() -> contextlib.redirect_stdout[io.StringIO]:
    """pycocotools prints its progress."""
    return contextlib.redirect_stdout(io.StringIO())
