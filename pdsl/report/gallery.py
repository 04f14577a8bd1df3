"""Predictions beside ground truth: which images are shown, and what is drawn on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from data.truth import RLE
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.targets import ImageTargets
from pdsl.report.judging import Outcome, Verdict
from pdsl.report.overlay import Colour, Shape, draw
from pdsl.report.palette import IGNORED, MISSED, RIGHT, WRONG, class_colours
from pdsl.report.texture import Line, Mark

SHOWN_SCORE = 0.3
MOST_SHOWN = 12


@dataclass(frozen=True)
class Look:
    """How an outcome is drawn: by colour, and without it."""

    colour: Colour
    line: Line
    mark: Mark | None


LOOKS: Mapping[Outcome, Look] = {
    "right": Look(RIGHT, "solid", "tick"),
    "missed": Look(MISSED, "dotted", "ring"),
    "wrong": Look(WRONG, "dashed", "cross"),
    "ignored": Look(IGNORED, "solid", None),
}


def shown(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Of an image's predictions (best first) those worth showing: from SHOWN_SCORE on, at least the best one."""
    sure = [p for p in predictions if p.score >= SHOWN_SCORE]
    return (sure or list(predictions[:1]))[:MOST_SHOWN]


def spread(truth: Sequence[ImageTargets], count: int) -> list[int]:
    """`count` rows of images that have objects, evenly spaced through the list: a fair sample."""
    rows = [row for row, image in enumerate(truth) if image.truth.objects]
    if len(rows) <= count:
        return rows
    return [rows[int(place)] for place in np.linspace(0, len(rows) - 1, count).round()]


def pictures(
    image: np.ndarray, truth: ImageTargets, predictions: Sequence[Prediction], class_names: Sequence[str]
) -> tuple[Image.Image, Image.Image]:
    """(ground truth, prediction) of `image` (H, W, 3) uint8; a class has the same colour in both."""
    colours = class_colours([item.class_id for item in truth.truth.objects] + [p.class_id for p in predictions])
    return truth_picture(image, truth, class_names, colours), prediction_picture(
        image, predictions, class_names, colours
    )


def truth_picture(
    image: np.ndarray, truth: ImageTargets, class_names: Sequence[str], colours: Mapping[int, Colour]
) -> Image.Image:
    """Annotated objects: masks where there are some, boxes otherwise; in grey those that the protocol ignores."""
    shapes = []
    for item in sorted(truth.truth.objects, key=lambda o: float(np.prod(o.box[2:] - o.box[:2]))):
        ignored = truth.role(item, "box" if item.mask is None else "mask") != "object"
        name = class_names[item.class_id]
        colour = IGNORED if ignored else colours[item.class_id]
        shapes.append(Shape(colour, item.box, item.mask, f"{name} (ignored)" if ignored else name))
    return draw(image, shapes, dim=0.2)


def prediction_picture(
    image: np.ndarray, predictions: Sequence[Prediction], class_names: Sequence[str], colours: Mapping[int, Colour]
) -> Image.Image:
    """Detections with class and score."""
    shapes = [
        Shape(colours[p.class_id], p.box, p.mask, f"{class_names[p.class_id]} {p.score:.2f}") for p in predictions
    ]
    return draw(image, shapes, dim=0.2)


def judged_pictures(image: np.ndarray, verdict: Verdict, class_names: Sequence[str]) -> tuple[Image.Image, Image.Image]:
    """(ground truth, prediction) of `image` (H, W, 3) uint8, each shape in the look of its outcome (LOOKS)."""
    objects = sorted(verdict.objects, key=lambda o: float(np.prod(o[0].box[2:] - o[0].box[:2])))
    annotated = [_judged(o.box, o.mask, class_names[o.class_id], outcome) for o, outcome in objects]
    found = [
        _judged(p.box, p.mask, f"{class_names[p.class_id]} {p.score:.2f}", outcome) for p, outcome in verdict.detections
    ]
    return draw(image, annotated, dim=0.2), draw(image, found, dim=0.2)


def _judged(box: np.ndarray, mask: RLE | None, text: str, outcome: Outcome) -> Shape:
    look = LOOKS[outcome]
    text += " (ignored)" if outcome == "ignored" else ""
    return Shape(look.colour, box, mask, text, look.line, look.mark)
