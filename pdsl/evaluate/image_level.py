"""Which classes an image shows, as its detections tell, against its image-level labels: all that can be measured where
nobody drew boxes or masks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from data.records import ImageList
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.voc_metrics import area_under_curve
from pdsl.figures import percent

SURE = 0.3
"""From this score on a detection says that its class is present."""
COLUMNS = ("images", "found", "right", "detections", "image AP")


def image_metrics(predictions: Sequence[Prediction], images: ImageList) -> dict[str, Any]:
    """{"mAP", "per_class"}; of every class that a label or a detection names {"AP", "images", "found", "right",
    "detections"}.

    AP in percent: images ordered by the score of their best detection of the class (last those without one), the area
    under the precision-recall curve made non-increasing, as VOC's classification task has it from 2010 on; images of
    equal score count together. None where no image has the class; mAP is the mean of the others. images: those labelled
    with the class; found: those with a detection of it that scores SURE or more; right: those that are both.
    """
    score, detections = best_scores(predictions, images)
    label = images.label_matrix()
    per_class: dict[str, dict[str, Any]] = {}
    for class_id, name in enumerate(images.class_names):
        present, found = label[:, class_id], score[:, class_id] >= SURE
        if present.any() or detections[class_id]:
            per_class[name] = {
                "AP": _average_precision(score[:, class_id], present),
                "images": int(present.sum()),
                "found": int(found.sum()),
                "right": int((found & present).sum()),
                "detections": int(detections[class_id]),
            }
    known = [figures["AP"] for figures in per_class.values() if figures["AP"] is not None]
    return {"mAP": round(float(np.mean(known)), 4) if known else None, "per_class": per_class}


def best_scores(predictions: Sequence[Prediction], images: ImageList) -> tuple[np.ndarray, np.ndarray]:
    """(score of each image's best detection of each class, -inf without: (N, C) float64; detections a class: (C,))."""
    row_of = {record.id: row for row, record in enumerate(images.records)}
    score = np.full((len(images), len(images.class_names)), -np.inf)  # anyone's scores may be negative
    detections = np.zeros(len(images.class_names), np.int64)
    for p in predictions:
        place = row_of[p.image_id], p.class_id
        score[place] = max(score[place], p.score)
        detections[p.class_id] += 1
    return score, detections


def image_rows(metrics: Mapping[str, Any]) -> Iterator[list[str]]:
    """For each class in the figures: its name, and a cell for each of COLUMNS."""
    for name, figures in metrics["image"]["per_class"].items():
        counts = (str(figures[key]) for key in ("images", "found", "right", "detections"))
        yield [name, *counts, percent(figures["AP"])]


def _average_precision(score: np.ndarray, present: np.ndarray) -> float | None:
    """In percent, of images by score (N,) and presence (N,) bool; None where none has the class."""
    if not present.any():
        return None
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
    right = present[order].cumsum()[last_of_equals]
    looked_at = np.arange(1, len(score) + 1)[last_of_equals]
    return round(100 * area_under_curve(right / looked_at, right / present.sum()), 4)
