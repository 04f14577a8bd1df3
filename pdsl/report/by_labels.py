"""What a report shows where image-level labels are the only truth: detections beside the labels, and where the two
contradict each other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data.decode import DecodeError, decode_record
from data.records import ImageList
from pdsl.evaluate.evaluation import Evaluation
from pdsl.evaluate.image_level import SURE, best_scores
from pdsl.evaluate.predictions import Prediction, by_image
from pdsl.figures import percent
from pdsl.report.examples import Gallery
from pdsl.report.gallery import prediction_picture, shown
from pdsl.report.page import Picture, Row, picture
from pdsl.report.palette import class_colours

EXAMPLES = 9
CONTRADICTIONS = 6


def tiles(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(value, what it is): the figures in large print."""
    known = metrics["image"]["per_class"].values()
    right, labelled = (sum(figures[key] for figures in known) for key in ("right", "images"))
    return [
        (percent(metrics["image"]["mAP"]), "image-level mAP"),
        (f"{right} of {labelled}", f"labels found (score {SURE})"),
        (str(sum(figures["found"] - figures["right"] for figures in known)), "found beside the labels"),
    ]


def examples(evaluation: Evaluation) -> Gallery:
    """Images evenly spaced through the split: not chosen by hand, the same ones every time."""
    count = len(evaluation.dataset.images)
    rows = np.unique(np.linspace(0, count - 1, min(EXAMPLES, count)).round().astype(int))
    text = f"By rule, not by hand: {len(rows)} images evenly spaced through the split."
    return _gallery(evaluation, [int(row) for row in rows], text)


def contradictions(evaluation: Evaluation) -> Gallery:
    """The images that contradict their labels most, worst first: a class of the labels that scores low, or one beside
    the labels that scores high."""
    images = evaluation.dataset.images
    score = best_scores(evaluation.predictions, images)[0].clip(0, 1)
    label = images.label_matrix()
    error = np.where(label, 1 - score, score)
    wrong = (label != (score >= SURE)).any(1)
    worst = np.argsort(-error.max(1, initial=0.0), kind="stable")
    text = "The worst first. Either the model is wrong or the label is."
    return _gallery(evaluation, [int(row) for row in worst if wrong[row]][:CONTRADICTIONS], text)


def _gallery(evaluation: Evaluation, rows: Sequence[int], text: str) -> Gallery:
    """Detections of the images in these rows, as far as they can be read, three beside each other."""
    images, found = evaluation.dataset.images, by_image(evaluation.predictions)
    drawn: list[tuple[Picture, set[int]]] = []
    for row in rows:
        record = images.records[row]
        try:
            pixels = decode_record(record, **images.decoding)
        except DecodeError:
            continue
        listed = shown(found[record.id])
        colours = class_colours(p.class_id for p in listed)
        image = prediction_picture(pixels, listed, images.class_names, colours)
        caption = _caption(images, row, found[record.id])
        drawn.append((picture(image, caption), {*record.label, *(p.class_id for p in listed)}))
    threes = [drawn[start : start + 3] for start in range(0, len(drawn), 3)]
    return Gallery([Row([p for p, _ in three], {c for _, classes in three for c in classes}) for three in threes], text)


def _caption(images: ImageList, row: int, predictions: Sequence[Prediction]) -> str:
    """ "pets/7: right dog; missed cat (best 0.12); beside the labels car 0.61"."""
    best: dict[int, float] = {}
    for p in predictions:
        best[p.class_id] = max(best.get(p.class_id, 0.0), p.score)
    record, names = images.records[row], images.class_names
    right = [names[c] for c in record.label if best.get(c, 0.0) >= SURE]
    missed = [f"{names[c]} (best {best.get(c, 0.0):.2f})" for c in record.label if best.get(c, 0.0) < SURE]
    beside = [f"{names[c]} {score:.2f}" for c, score in best.items() if score >= SURE and c not in record.label]
    parts = {"right": right, "missed": missed, "beside the labels": beside}
    told = "; ".join(f"{word} {', '.join(listed)}" for word, listed in parts.items() if listed)
    return f"{record.id}: {told or 'no class, and none found'}"
