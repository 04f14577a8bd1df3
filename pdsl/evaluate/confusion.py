"""Which class is taken for which: detections against the objects that they lie on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdsl.evaluate.predictions import Prediction, by_image
from pdsl.evaluate.targets import ImageTargets, Kind, Target, overlap

IOU = 0.5


@dataclass(frozen=True)
class Confusion:
    """How often what was predicted lies on what.

    counts: (C + 1, C + 1) int, [predicted, annotated] by class id. The last column: on no object; the last row: objects
    on which no detection was counted. kind: by whose IoU. score: detections count from it on. images: looked at.
    """

    counts: np.ndarray
    kind: Kind
    score: float
    images: int

    def busiest(self, count: int) -> list[tuple[int, int, int]]:
        """Up to `count` (predicted, annotated, how often) of two different classes, the most frequent first."""
        between = self.counts[:-1, :-1] * ~np.eye(len(self.counts) - 1, dtype=bool)
        order = np.argsort(-between, axis=None, kind="stable")[:count]
        rows, columns = np.unravel_index(order, between.shape)
        pairs = [(int(r), int(c), int(between[r, c])) for r, c in zip(rows, columns, strict=True)]
        return [pair for pair in pairs if pair[2]]


def confusion(
    predictions: Sequence[Prediction], truth: Sequence[ImageTargets], n_classes: int, kind: Kind, score: float
) -> Confusion:
    """Each detection from `score` on counts once: under the object of any class that it overlaps most, if by IOU.

    Of those that lie on no object, the ones on what the protocol ignores do not count.
    """
    images = [image for image in truth if kind == "box" or image.truth.has_masks]
    sure = by_image([p for p in predictions if p.score >= score and (kind == "box" or p.mask is not None)])
    counts = np.zeros((n_classes + 1, n_classes + 1), int)
    for image in images:
        found, targets = sure[image.id], _targets(image, kind)
        values = overlap(found, [target for _, target in targets], kind)
        objects = {column for column, (_, target) in enumerate(targets) if target.role == "object"}
        met = set()
        for p, row in zip(found, values, strict=True):
            best = max(objects, key=lambda c: (row[c], targets[c][0] == p.class_id, -c), default=None)
            if best is not None and row[best] >= IOU:
                met.add(best)
                counts[p.class_id, targets[best][0]] += 1
            elif not any(row[c] >= IOU for c in range(len(targets)) if c not in objects):
                counts[p.class_id, n_classes] += 1
        for missed in objects - met:
            counts[n_classes, targets[missed][0]] += 1
    return Confusion(counts, kind, score, len(images))


def _targets(image: ImageTargets, kind: Kind) -> list[tuple[int, Target]]:
    """(class id, target) of everything in the image; void has no class."""
    targets = [(class_id, target) for class_id, listed in image.of(kind).items() for target in listed]
    void = image.void if kind == "mask" else None
    return [*targets, (-1, void)] if void else targets
