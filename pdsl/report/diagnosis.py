"""What lies behind the figures, as the page shows it: curves of precision and recall, and confusions of classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdsl.evaluate.confusion import IOU, Confusion, confusion
from pdsl.evaluate.evaluation import Evaluation
from pdsl.evaluate.summary import Curves
from pdsl.evaluate.targets import Kind
from pdsl.figures import percent
from pdsl.report.gallery import SHOWN_SCORE
from pdsl.report.page import BarRow

MATRIX_CLASSES = 24
"""More classes than this do not fit into a table that one can read: of them the busiest confusions are listed."""
BUSIEST = 20
KINDS: tuple[Kind, Kind] = ("mask", "box")
NOUNS: Mapping[Kind, str] = {"mask": "masks", "box": "boxes"}


@dataclass(frozen=True)
class Panel:
    """Curves of a class, or of the mean of all (class_id None). paths: SVG paths in a square of 100, by kind."""

    name: str
    class_id: int | None
    paths: Mapping[Kind, str]
    text: str


@dataclass(frozen=True)
class Drawing:
    """Curves of all classes by one way of matching."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class ConfusionView:
    """cells: per predicted class (count, share of its line in percent) by annotated class; [] where there are too many
    classes for that. pairs: then the busiest."""

    title: str
    text: str
    columns: Sequence[str]
    cells: Sequence[tuple[str, Sequence[tuple[int, float]]]]
    pairs: Sequence[BarRow]


def drawings(evaluation: Evaluation) -> list[Drawing]:
    """COCO's curves; for data that are published with VOC's figures also the devkit's."""
    measured, names = evaluation.measured, evaluation.dataset.images.class_names
    listed = [("As COCO matches: the best object that is still free", measured.coco)]
    if evaluation.metrics["protocol"] != "coco":
        listed.append(("As VOC's devkit matches: the object that is overlapped most", measured.voc))
    return [Drawing(title, _panels(curves, names)) for title, curves in listed if any(curves.values())]


def _panels(curves: Curves, names: Sequence[str]) -> list[Panel]:
    means = {kind: np.mean(list(curves[kind].values()), axis=0) for kind in KINDS if curves.get(kind)}
    panels = [_panel("all classes", None, means)]
    for class_id, name in enumerate(names):
        own = {kind: curves[kind][name] for kind in KINDS if name in curves.get(kind, {})}
        if own:
            panels.append(_panel(name, class_id, own))
    return panels


def _panel(name: str, class_id: int | None, curves: Mapping[Kind, np.ndarray]) -> Panel:
    text = ", ".join(f"{kind} {percent(100 * float(curve.mean()))}" for kind, curve in curves.items())
    return Panel(name, class_id, {kind: step_path(curve) for kind, curve in curves.items()}, text)


def step_path(precision: np.ndarray) -> str:
    """An SVG path of precision (n,) at n recalls from 0 to 1, each held from the recall before; down to 0 where none is
    reached any more. In a square of 100 with the origin at its lower left."""
    levels = [f"{100 - 100 * float(p):.4g}" for p in precision]
    path = f"M0,{levels[0]}"
    for place in range(1, len(levels)):
        if levels[place] != levels[place - 1]:
            path += f"H{100 * (place - 1) / (len(levels) - 1):.4g}V{levels[place]}"
    return f"{path}H100"


def confusions(evaluation: Evaluation) -> list[ConfusionView]:
    """By boxes of all images, and by masks where there are some."""
    dataset, predictions = evaluation.dataset, evaluation.predictions
    names = dataset.images.class_names
    kinds: list[Kind] = ["box"]
    if evaluation.metrics["mask_images"] and any(p.mask is not None for p in predictions):
        kinds.append("mask")
    found = [confusion(predictions, dataset.truth, len(names), kind, SHOWN_SCORE) for kind in kinds]
    return [_view(counted, names, evaluation.metrics) for counted in found if counted.counts.any()]


def _view(counted: Confusion, names: Sequence[str], metrics: Mapping[str, Any]) -> ConfusionView:
    text = (
        f"Each detection that scores {counted.score} or more counts once, under the object of any class that it "
        f"overlaps most if its IoU with it is {IOU} or more, else under nothing."
    )
    if metrics["protocol"] != "coco":
        text += " Detections of what the protocol ignores are left out."
    title = f"By {NOUNS[counted.kind]} ({counted.images:,} images)"
    used = np.flatnonzero(counted.counts[:-1].any(1) | counted.counts[:, :-1].any(0)).tolist()
    if len(used) > MATRIX_CLASSES:
        return ConfusionView(title, f"{text} {_totals(counted)}", [], [], _pairs(counted, names))
    table = counted.counts[np.ix_([*used, len(names)], [len(names), *used])]
    share = 100 * table / np.maximum(table.sum(1, keepdims=True), 1)
    labels = [names[c] for c in used]
    cells = [
        (label, [(int(n), float(s)) for n, s in zip(*row, strict=True)])
        for label, *row in zip([*labels, "not found"], table, share, strict=True)
    ]
    text += (
        " Not found: objects under which no detection was counted. The fuller a cell's colour, the larger its share of "
        "the line."
    )
    return ConfusionView(title, text, ["nothing", *labels], cells, [])


def _totals(counted: Confusion) -> str:
    """The table in four numbers, where it is too large to be read."""
    table = counted.counts
    own, lost = int(np.trace(table[:-1, :-1])), int(table[-1, :-1].sum())
    other = int(table[:-1, :-1].sum()) - own
    return (
        f"In all: {own:,} detections on objects of their class, {other:,} on objects of another one, "
        f"{int(table[:-1, -1].sum()):,} on nothing; {lost:,} objects not found. The classes confused most often:"
    )


def _pairs(counted: Confusion, names: Sequence[str]) -> list[BarRow]:
    busiest = counted.busiest(BUSIEST)
    most = busiest[0][2] if busiest else 1
    return [BarRow(names[p], [names[a], (f"{count:,}", 100 * count / most)]) for p, a, count in busiest]
