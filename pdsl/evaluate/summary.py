"""All figures of one evaluation: `metrics.json` and the table on the terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from data.loudness import is_quiet
from pdsl.evaluate.evaluation_set import EvaluationSet
from pdsl.evaluate.image_level import COLUMNS as IMAGE_COLUMNS
from pdsl.evaluate.image_level import SURE, image_metrics, image_rows
from pdsl.evaluate.metrics import NAMED, SIZES, precision_tables
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.protocols import PROTOCOLS
from pdsl.evaluate.targets import ImageTargets, Kind
from pdsl.evaluate.voc_metrics import corloc, voc_curves, voc_figures, voc_matches
from pdsl.figures import percent

COLUMNS = ("AP", *NAMED, *SIZES)
CORLOC_OF = {True: "", False: " (not of training images)", None: " (a figure of training images)"}
"""What CorLoc, a figure of training images, was measured on, by whether these were learnt from."""


Curves = Mapping[Kind, Mapping[str, np.ndarray]]
"""Of masks and boxes, by class: the best precision (101,) at the recalls 0, 0.01 … 1 or more, at IoU 0.5."""


@dataclass(frozen=True)
class Measured:
    """metrics: the content of metrics.json. coco, voc: the curves behind its AP50, of the same matches."""

    metrics: dict[str, Any]
    coco: Curves
    voc: Curves


def measure(predictions: Sequence[Prediction], truth: Sequence[ImageTargets], class_names: Sequence[str]) -> Measured:
    """All figures of detections, in percent: the name of the "protocol" by which the truth is counted, COCO's "mask"
    and "box", "voc", "corloc", and counts of "images", "mask_images" (annotated with masks) and "detections"."""
    tables = precision_tables(predictions, truth, class_names)
    matches = voc_matches(predictions, truth, class_names)
    masks_given = not predictions or any(p.mask is not None for p in predictions)
    metrics: dict[str, Any] = {
        "protocol": truth[0].protocol.name if truth else None,
        **{kind: table.figures() for kind, table in tables.items()},
        "voc": voc_figures(matches, masks_given=masks_given),
        "corloc": corloc(predictions, truth, class_names),
        "images": len(truth),
        "mask_images": sum(image.truth.has_masks for image in truth),
        "detections": len(predictions),
    }
    return Measured(
        metrics,
        {kind: table.curves() for kind, table in tables.items()},
        {kind: voc_curves(matches[kind]) for kind in matches if masks_given or kind == "box"},
    )


def evaluate_predictions(
    predictions: Sequence[Prediction], truth: Sequence[ImageTargets], class_names: Sequence[str]
) -> dict[str, Any]:
    """The figures of `measure`."""
    return measure(predictions, truth, class_names).metrics


def measure_set(predictions: Sequence[Prediction], dataset: EvaluationSet) -> Measured:
    """The same for a set, with "image", what the image-level labels tell (`image_level`), which is all where nobody
    annotated objects: there "protocol" is None."""
    measured = measure(predictions, dataset.truth, dataset.images.class_names)
    metrics = {**measured.metrics, "image": image_metrics(predictions, dataset.images)}
    return replace(measured, metrics=metrics | ({"protocol": None} if dataset.labels_only else {}))


def tell_metrics(metrics: Mapping[str, Any], title: str, *, labels_only: bool) -> None:
    """On stdout: tables, or if only results are wanted a line."""
    if not is_quiet():
        print_metrics(metrics, Console(emoji=False), title, labels_only=labels_only)
        return
    kinds = [] if labels_only else [(kind, metrics[kind], ("AP", "AP50")) for kind in ("mask", "box")]
    parts = (
        f"{kind} {n} {percent(found[n])}"
        for kind, found, ns in [*kinds, ("image", metrics["image"], ("mAP",))]
        for n in ns
    )
    print(f"{title}: {', '.join(parts)}")


def print_metrics(metrics: Mapping[str, Any], console: Console, title: str, *, labels_only: bool = False) -> None:
    """Tables of the classes that the run knows, then a summary and VOC's figures in a line: on a terminal one sees what
    comes last. labels_only: the table by image-level labels alone."""
    if not labels_only:
        console.print(_class_table(metrics))
    if "image" in metrics:
        console.print(_image_table(metrics, title if labels_only else ""))
        told = f"by image-level labels: mAP {percent(metrics['image']['mAP'])} over {metrics['images']} images"
        means = f"found: the best detection of the class scores {SURE} or more; right: and the label says so"
        console.print(f"{told}; {means}", highlight=False)
    if not labels_only:
        _print_objects(metrics, console, title)


def _image_table(metrics: Mapping[str, Any], title: str) -> Table:
    table = Table(title=escape(title) or None, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("class", no_wrap=True)
    for name in IMAGE_COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    _add_known(table, image_rows(metrics), metrics)
    return table


def _print_objects(metrics: Mapping[str, Any], console: Console, title: str) -> None:
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD)
    table.add_column("")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for kind in ("mask", "box"):
        table.add_row(kind, *(percent(metrics[kind].get(name)) for name in COLUMNS))
    console.print(table)
    if known := known_means(metrics):
        console.print(known, highlight=False)
    voc, mask = metrics["voc"]["box"], metrics["voc"]["mask"]
    if metrics["protocol"]:
        console.print(f"protocol {metrics['protocol']}: {PROTOCOLS[metrics['protocol']].meaning}", highlight=False)
    console.print(
        f"VOC: box mAP@50 {percent(voc['AP50'])} (11-point {percent(voc['AP50_11point'])}), mask mAP@25/50/70/75 "
        f"{' / '.join(percent(mask[name]) for name in NAMED)}; CorLoc {percent(metrics['corloc']['mean'])}"
        f"{CORLOC_OF[metrics.get('learnt_from')]}; "
        f"{metrics['images']} images, {metrics['mask_images']} with masks, {metrics['detections']} detections",
        highlight=False,
    )


def known_means(metrics: Mapping[str, Any]) -> str:
    """ "means over the 20 of 80 classes that the run knows: mask AP …; box AP …"; empty where it knows all of them."""
    known = metrics.get("known_classes")
    if not known:
        return ""
    parts = (
        f"{kind} {', '.join(f'{name} {percent(known[kind][name])}' for name in ('AP', 'AP50', 'AP75'))}"
        for kind in ("mask", "box")
    )
    return f"means over the {len(known['classes'])} of {known['of']} classes that the run knows: {'; '.join(parts)}"


def _class_table(metrics: Mapping[str, Any]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("class", no_wrap=True)
    for name in ("objects", "mask AP", "AP50", "AP75", "box AP", "AP50", "AP75"):
        table.add_column(name, justify="right", no_wrap=True)
    _add_known(table, class_rows(metrics), metrics)
    return table


def _add_known(table: Table, rows: Iterable[Sequence[str]], metrics: Mapping[str, Any]) -> None:
    """Rows, whose first cell is a class, to a table: without those of classes that the run does not know."""
    known = metrics.get("known_classes", {}).get("classes")
    for name, *cells in rows:
        if known is None or name in known:
            table.add_row(escape(name), *cells)


def class_rows(metrics: Mapping[str, Any]) -> Iterator[list[str]]:
    """For each class that has objects: name, number of objects; AP, AP50 and AP75 of masks, then of boxes."""
    for name, box in metrics["box"]["per_class"].items():
        mask = metrics["mask"]["per_class"].get(name, {})
        cells = [percent(figures.get(column)) for figures in (mask, box) for column in ("AP", "AP50", "AP75")]
        yield [name, str(box["objects"]), *cells]
