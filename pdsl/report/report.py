"""`report.html` of an evaluation: one file that explains itself, with pictures inside."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from data.json_file import read_json
from data.parameters import read_mapping
from data.regular import read_regular
from data.whole_file import write_whole
from pdsl.evaluate.evaluation import COMPARED, Evaluation
from pdsl.evaluate.image_level import COLUMNS as IMAGE_COLUMNS
from pdsl.evaluate.image_level import image_rows
from pdsl.evaluate.summary import COLUMNS, class_rows, known_means
from pdsl.figures import percent
from pdsl.report import by_labels
from pdsl.report.charts import loss_charts, validation_charts
from pdsl.report.diagnosis import confusions, drawings
from pdsl.report.examples import examples, failures, training_examples
from pdsl.report.page import BarRow, bar, render
from pdsl.report.provenance import facts, without_secrets
from pdsl.run.folder import read_log
from pdsl.run.names import COMPARISON, CONFIG, LOG

CLASS_COLUMNS = ("objects", "mask AP", "mask AP50", "mask AP75", "box AP", "box AP50", "box AP75")


def write_report(run: Path | None, out: Path, evaluation: Evaluation) -> None:
    """Write the report of an evaluation to `out`.

    Of the run in folder `run` its config.yaml, log.jsonl and comparison.json are shown as far as they are there, and
    training images if its first training store can still be read. None: of detections whose run is not known.
    """
    metrics, names = evaluation.metrics, evaluation.dataset.images.class_names
    config, text = _configuration(run)
    log = read_log(run / LOG) if run else []
    labels_only = evaluation.dataset.labels_only
    known = metrics["image" if labels_only else "box"]["per_class"]
    losses, validation = loss_charts(log), validation_charts({"": log})
    page = render(
        title=f"PDSL: {run.resolve().name if run else metrics['results']}",
        about=_about(evaluation),
        labels_only=labels_only,
        tiles=by_labels.tiles(metrics) if labels_only else _tiles(metrics),
        columns=COLUMNS,
        figures=[(kind, [percent(metrics[kind].get(name)) for name in COLUMNS]) for kind in ("mask", "box")],
        known_means="" if labels_only else known_means(metrics),
        corloc_shown=bool(metrics.get("learnt_from")),
        facts=facts(evaluation, run, config, log),
        comparison=_comparison(run),
        charts=[Markup(chart) for chart in (*losses, *validation)],
        with_validation=bool(validation),
        examples=by_labels.examples(evaluation) if labels_only else examples(evaluation),
        failures=by_labels.contradictions(evaluation) if labels_only else failures(evaluation),
        training=training_examples(config, names),
        curves=[] if labels_only else drawings(evaluation),
        confusions=[] if labels_only else confusions(evaluation),
        classes=_classes(image_rows(metrics) if labels_only else class_rows(metrics), names),
        class_columns=IMAGE_COLUMNS if labels_only else CLASS_COLUMNS,
        filter_classes=[(i, name) for i, name in enumerate(names) if name in known],
        configuration=without_secrets(text),
    )
    write_whole(out, page)


def _configuration(run: Path | None) -> tuple[Mapping[str, Any], str]:
    """The run's configuration and the text of its file; ({}, "") if there is none."""
    if run is None or not (run / CONFIG).exists():
        return {}, ""
    return read_mapping(run / CONFIG, str(run / CONFIG), "of keys"), read_regular(run / CONFIG).decode(errors="replace")


def _about(evaluation: Evaluation) -> str:
    metrics, images = evaluation.metrics, evaluation.dataset.images
    step = f" after {metrics['step']:,} updates" if metrics.get("step") is not None else ""
    learnt = "" if "results" in metrics else "Instance segmentation learnt from image-level labels only. "
    return f"{learnt}Evaluated{step} on {len(images):,} images of {images.split}. All figures in percent."


def _tiles(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(value, what it is) in large print. CorLoc is a figure of images that were learnt from, and of no others."""
    tiles = [
        (percent(metrics[kind].get(name)), f"{kind} {name}")
        for kind, name in (("mask", "AP50"), ("mask", "AP75"), ("box", "AP50"), ("box", "AP75"))
    ]
    if metrics.get("learnt_from"):
        tiles.append((percent(metrics["corloc"]["mean"]), "CorLoc (training images)"))
    return tiles


def _comparison(run: Path | None) -> dict[str, Any] | None:
    """What training is worth, as far as it was measured."""
    if run is None or not (run / COMPARISON).exists():
        return None
    comparison = read_json(run / COMPARISON, "remove it")
    with_corloc = "corloc" in comparison["trained"]
    rows = []
    for key, name in COMPARED.items():
        if key in comparison:
            mask, box = comparison[key]["mask"], comparison[key]["box"]
            bars = [bar(mask[column], percent(mask[column])) for column in ("AP50", "AP75")]
            located = [percent(comparison[key].get("corloc"))] if with_corloc else []
            cells: list[str | tuple[str, float]] = [*bars, percent(mask["AP"]), percent(box["AP50"]), *located]
            rows.append(BarRow(name, cells, best=key == "trained"))
    columns = ["", "mask AP50", "mask AP75", "mask AP", "box AP50", *(["CorLoc"] if with_corloc else [])]
    return {"columns": columns, "rows": rows, "with_corloc": with_corloc}


def _classes(rows: Iterable[Sequence[str]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Lines of the table of classes, of rows of a name and cells."""
    ids = {name: class_id for class_id, name in enumerate(names)}
    return [{"name": name, "class_id": ids[name], "cells": cells} for name, *cells in rows]
