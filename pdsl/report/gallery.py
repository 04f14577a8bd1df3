"""Predictions beside ground truth: which images are shown, and what is drawn on them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.targets import ImageTargets, Kind, overlap
from pdsl.report.overlay import Colour, Shape, draw
from pdsl.report.palette import class_colours

SHOWN_SCORE = 0.3
MOST_SHOWN = 12
IGNORED = (150, 150, 150)


@dataclass(frozen=True)
class Verdict:
    """How the shown predictions of an image compare with its objects at IoU 0.5: counts by class id."""

    hits: int
    missed: Counter[int]
    wrong: Counter[int]

    @property
    def quality(self) -> float:
        """F1 of hits: 0..1; 1 where there is nothing to find and nothing was."""
        errors = self.missed.total() + self.wrong.total()
        return 2 * self.hits / (2 * self.hits + errors) if self.hits or errors else 1.0

    def text(self, class_names: Sequence[str]) -> str:
        """What went wrong, in words."""
        parts = [
            f"{word}: {', '.join(f'{n} {class_names[c]}' if n > 1 else class_names[c] for c, n in counts.items())}"
            for word, counts in (("missed", self.missed), ("wrong", self.wrong))
            if counts
        ]
        return "; ".join([f"{self.hits} right", *parts])


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


def judge(predictions: Sequence[Prediction], truth: ImageTargets) -> Verdict:
    """Hits, misses and false alarms of `predictions` (best first), matched within each class at IoU 0.5."""
    kind: Kind = "mask" if truth.truth.has_masks and all(p.mask is not None for p in predictions) else "box"
    targets = truth.of(kind)
    hits, missed, wrong = 0, Counter[int](), Counter[int]()
    for class_id in sorted({*targets, *(p.class_id for p in predictions)}):
        own = [p for p in predictions if p.class_id == class_id]
        listed = targets.get(class_id, [])
        free = {column for column, t in enumerate(listed) if t.role == "object"}
        for values in overlap(own, listed, kind):
            best = max(free, key=lambda column: values[column], default=None)
            if best is not None and values[best] >= 0.5:
                free.discard(best)
                hits += 1
            elif not any(values[c] >= 0.5 for c, t in enumerate(listed) if t.role != "object"):
                wrong[class_id] += 1
        if free:
            missed[class_id] = len(free)
    return Verdict(hits, missed, wrong)


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
