"""Detections matched with objects by pycocotools, or by faster-coco-eval where that is asked for."""

import contextlib
import io
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from data.errors import InputError
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.targets import ImageTargets, Kind, Target, overlap, prediction_shape

COCO_THRESHOLDS = np.linspace(0.5, 0.95, 10)
THRESHOLDS = np.concatenate([[0.25], COCO_THRESHOLDS])
DETECTIONS_PER_IMAGE = 100
ENGINE = "PDSL_COCO_EVAL"
"""Variable of the environment; "faster" takes faster-coco-eval, whose figures are the same (docs/evaluation.md)."""


def precision_table(
    predictions: Sequence[Prediction], images: Sequence[ImageTargets], n_classes: int, kind: Kind
) -> np.ndarray:
    """(T, R, C, A) precision over THRESHOLDS, 101 recall points, classes and area ranges; -1 where undefined.

    Everything that is not an `object` is passed as a crowd, which pycocotools ignores and lets match any number of
    detections. Raises InputError where another engine is asked for and is not there.
    """
    evaluator, index = _engine()
    with _silence():
        evaluation = evaluator(predictions, images, n_classes, kind, index)
        evaluation.evaluate()
        evaluation.accumulate()
    table: np.ndarray = evaluation.eval["precision"]
    return table[..., 0]


class _Matching:
    """A COCOeval with the overlaps of `targets.overlap`."""

    params: Any

    def __init__(
        self,
        predictions: Sequence[Prediction],
        images: Sequence[ImageTargets],
        n_classes: int,
        kind: Kind,
        index: Any,
    ) -> None:
        self.kind: Kind = kind
        self.found: dict[tuple[int, int], list[Prediction]] = defaultdict(list)
        self.targets: dict[tuple[int, int], list[Target]] = defaultdict(list)
        rows = {image.id: row for row, image in enumerate(images, 1)}
        base = {
            "images": [{"id": rows[i.id], "height": i.truth.size[0], "width": i.truth.size[1]} for i in images],
            "categories": [{"id": class_id, "name": str(class_id)} for class_id in range(n_classes)],
        }
        detected = defaultdict(set)
        for p in predictions:
            self.found[rows[p.image_id], p.class_id].append(p)
            detected[p.image_id].add(p.class_id)
        annotations = []
        for image in images:
            for class_id, target in _all_targets(image, kind, detected[image.id]):
                self.targets[rows[image.id], class_id].append(target)
                annotations.append(_annotation(target, rows[image.id], class_id))
        detections = [_detection(p, rows[p.image_id], kind) for p in predictions]
        name = "bbox" if kind == "box" else "segm"
        super().__init__(index(base, annotations), index(base, detections), name)  # type: ignore[call-arg]
        self.params.iouThrs = THRESHOLDS
        self.params.maxDets = [DETECTIONS_PER_IMAGE]

    def computeIoU(self, imgId: int, catId: int) -> np.ndarray | list[float]:
        """Overlaps (D, G) of the best detections, in the order in which pycocotools sorts them."""
        found, targets = self.found.get((imgId, catId)), self.targets.get((imgId, catId))
        if not found or not targets:
            return []
        order = np.argsort([-p.score for p in found], kind="mergesort")[: self.params.maxDets[-1]]
        return overlap([found[i] for i in order], targets, self.kind)


class _Evaluation(_Matching, COCOeval):
    """pycocotools'."""


def _engine() -> tuple[Any, Any]:
    """The evaluator, and what makes an indexed data set of plain entries."""
    asked = os.environ.get(ENGINE, "")
    if not asked:
        return _Evaluation, _index
    if asked != "faster":
        raise InputError(f"{ENGINE}={asked}: the only other engine is called 'faster'; unset the variable")
    try:
        from faster_coco_eval import COCO as FasterCOCO
        from faster_coco_eval import COCOeval_faster
    except ImportError as error:
        raise InputError(f"{ENGINE}=faster: {error}; install faster-coco-eval, or unset the variable") from error

    class _FasterEvaluation(_Matching, COCOeval_faster):  # type: ignore[misc, unused-ignore]
        """faster-coco-eval's: matching and accumulation in C++."""

    return _FasterEvaluation, lambda base, entries: FasterCOCO(base | {"annotations": _numbered(entries)})


def _index(base: dict[str, Any], entries: list[dict[str, Any]]) -> COCO:
    coco = COCO()
    coco.dataset = base | {"annotations": _numbered(entries)}
    coco.createIndex()
    return coco


def _numbered(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry | {"id": number} for number, entry in enumerate(entries, 1)]  # pycocotools takes 0 for "no match"


def _all_targets(image: ImageTargets, kind: Kind, classes: set[int]) -> list[tuple[int, Target]]:
    """Targets of all classes, with the void region for every class that was detected in this image."""
    pairs = [(class_id, target) for class_id, targets in image.of(kind).items() for target in targets]
    void = image.void if kind == "mask" else None
    return pairs + ([(class_id, void) for class_id in sorted(classes)] if void else [])


def _detection(prediction: Prediction, row: int, kind: Kind) -> dict[str, Any]:
    shape = "segmentation" if kind == "mask" else "bbox"
    return {
        "image_id": row,
        "category_id": prediction.class_id,
        "score": prediction.score,
        "area": prediction.area(kind),
        "iscrowd": 0,
        shape: prediction_shape(prediction, kind),
    }


def _annotation(target: Target, row: int, class_id: int) -> dict[str, Any]:
    shape = "segmentation" if isinstance(target.shape, dict) else "bbox"
    return {
        "image_id": row,
        "category_id": class_id,
        "area": target.area,
        "iscrowd": int(target.role != "object"),
        shape: target.shape,
    }


def _silence() -> contextlib.redirect_stdout[io.StringIO]:
    """pycocotools prints its progress."""
    return contextlib.redirect_stdout(io.StringIO())
