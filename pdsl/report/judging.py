"""What became of each detection and of each object of an image: right, wrong, missed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from data.truth import TruthObject
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.targets import ImageTargets, Kind, overlap

Outcome = Literal["right", "wrong", "missed", "ignored"]


@dataclass(frozen=True)
class Verdict:
    """How some predictions of an image compare with its objects at IoU 0.5.

    detections: each with right, wrong or ignored. objects: the annotated ones, each with right, missed or ignored.
    """

    detections: tuple[tuple[Prediction, Outcome], ...]
    objects: tuple[tuple[TruthObject, Outcome], ...]

    @property
    def hits(self) -> int:
        """Right detections."""
        return sum(outcome == "right" for _, outcome in self.detections)

    @property
    def missed(self) -> Counter[int]:
        """Objects that were not found, by class id."""
        return Counter(sorted(item.class_id for item, outcome in self.objects if outcome == "missed"))

    @property
    def wrong(self) -> Counter[int]:
        """False detections by class id."""
        return Counter(sorted(p.class_id for p, outcome in self.detections if outcome == "wrong"))

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


def judge(predictions: Sequence[Prediction], truth: ImageTargets) -> Verdict:
    """Hits, misses and false alarms of `predictions` (best first), matched within each class at IoU 0.5.

    By masks where the image is annotated with some and all predictions have one, else by boxes.
    """
    kind: Kind = "mask" if truth.truth.has_masks and all(p.mask is not None for p in predictions) else "box"
    detections: list[Outcome] = ["ignored"] * len(predictions)
    found: set[int] = set()
    targets = truth.of(kind)
    for class_id in {p.class_id for p in predictions}:
        rows = [row for row, p in enumerate(predictions) if p.class_id == class_id]
        listed = targets.get(class_id, [])
        free = {column for column, t in enumerate(listed) if t.role == "object"}
        for row, values in zip(rows, overlap([predictions[row] for row in rows], listed, kind), strict=True):
            best = max(free, key=lambda column: values[column], default=None)
            if best is not None and values[best] >= 0.5:
                free.discard(best)
                found.add(id(listed[best].item))
                detections[row] = "right"
            elif not any(values[c] >= 0.5 for c, t in enumerate(listed) if t.role != "object"):
                detections[row] = "wrong"
    wanted = {id(t.item) for listed in targets.values() for t in listed if t.role == "object"}
    objects: list[tuple[TruthObject, Outcome]] = [
        (item, "right" if id(item) in found else "missed" if id(item) in wanted else "ignored")
        for item in truth.truth.objects
    ]
    return Verdict(tuple(zip(predictions, detections, strict=True)), tuple(objects))
