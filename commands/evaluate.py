"""`eval`: COCO and VOC figures of a run, or of anyone's results in COCO format."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from data.catalog import load_images
from data.errors import InputError
from data.records import ImageList
from data.truth import ImageTruth
from data.truth_reader import load_truth

if TYPE_CHECKING:
    from pdsl.evaluate.predictions import Prediction
    from pdsl.run.trained import TrainedModel
    from store.store import Store

METRICS = "metrics.json"
PREDICTIONS = "predictions.json"
REPORT = "report.html"
COMPARISON = "comparison.json"


@dataclass(frozen=True)
class Task:
    """What is evaluated on: images in the store's order (in the reader's without a store), their truth, proposals."""

    images: ImageList
    truth: list[ImageTruth]
    store: "Store | None" = None

    def proposals(self) -> "Store":
        """The store. Raises InputError if none was named."""
        if self.store is None:
            raise InputError("--store: the store with the split's proposals is needed; `precompute` makes one")
        return self.store


def run(
    *,
    run: str | None,
    data: str,
    split: str,
    store: str | None,
    results: str | None,
    tta: bool,
    out: str | None,
    compare: bool = False,
) -> int:
    """Evaluate on `split` of `data`; print the figures; returns the exit status, 3 if images could not be looked at.

    With `run` and `store` (proposals of the split): predictions.json, metrics.json and report.html go to `out`, by
    default the run folder; with `compare` also RUN/comparison.json, what training is worth, which is then part of the
    report. With `results` (a COCO results file): metrics.json goes to `out` if it is given.
    """
    if results:
        return _evaluate_results(results, data, split, out)
    from pdsl.evaluate.results import to_coco, write_json
    from pdsl.evaluate.split import detect_split
    from pdsl.evaluate.summary import evaluate_predictions, print_metrics
    from pdsl.report.report import write_report

    task = read_task(data, split, store)
    proposals, trained = task.proposals(), _load(run)
    predictions, failed = detect_split(trained, task.images, proposals, tta=tta)
    metrics = evaluate_predictions(predictions, task.truth, task.images.class_names)
    metrics |= {"data": data, "split": split, "step": trained.step, "tta": tta, "failed": failed}
    print_metrics(metrics, Console(), f"{run}: {data} {split}")
    source = Path(str(run))
    folder = Path(out) if out else source
    write_json(folder / METRICS, metrics)
    write_json(folder / PREDICTIONS, to_coco(predictions, task.images))
    if compare:
        write_json(source / COMPARISON, _compared(trained, task, predictions, metrics))
    comparison = json.loads((source / COMPARISON).read_text()) if (source / COMPARISON).exists() else None
    write_report(source, folder / REPORT, task.images, task.truth, predictions, metrics, proposals, comparison)
    print(f"written: {', '.join(str(folder / name) for name in (METRICS, PREDICTIONS, REPORT))}")
    _tell_failures(failed)
    return 3 if failed else 0


def _compared(
    trained: "TrainedModel", task: Task, predictions: list["Prediction"], metrics: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """What training is worth: {"trained", "boxes_as_masks", "untrained"}, each {"mask", "box"} as in metrics.json.

    The trained model; its detections with their whole boxes as masks; the same model before its first update.
    """
    from pdsl.evaluate.metrics import coco_metrics
    from pdsl.evaluate.predictions import fill_boxes
    from pdsl.evaluate.split import detect_split
    from pdsl.run.trained import untrained

    before, _ = detect_split(untrained(trained), task.images, task.proposals())
    filled = fill_boxes(predictions, {record.id: record.size for record in task.images.records})
    others = {"boxes_as_masks": filled, "untrained": before}
    figures = {name: coco_metrics(found, task.truth, task.images.class_names) for name, found in others.items()}
    return {"trained": {kind: metrics[kind] for kind in ("mask", "box")}, **figures}


def read_task(data: str, split: str, store: str | None) -> Task:
    """Images, truth and store; InputError if the store holds other images."""
    from store.store import open_store

    images = load_images(data, split)
    if store is None:
        return Task(images, load_truth(data, split))
    opened = open_store(store)
    aligned = opened.align(images)
    by_id = {truth.id: truth for truth in load_truth(data, split)}
    return Task(aligned, [by_id[record.id] for record in aligned.records], opened)


def _evaluate_results(results: str, data: str, split: str, out: str | None) -> int:
    """Anyone's COCO results: the figures on the terminal, and in `out` if it is given."""
    from pdsl.evaluate.results import read_results, write_json
    from pdsl.evaluate.summary import evaluate_predictions, print_metrics

    task = read_task(data, split, None)
    predictions = read_results(results, task.images)
    metrics = evaluate_predictions(predictions, task.truth, task.images.class_names)
    print_metrics(metrics, Console(), f"{results}: {data} {split}")
    if out:
        write_json(Path(out) / METRICS, metrics | {"data": data, "split": split, "results": results})
        print(f"written: {Path(out) / METRICS}")
    return 0


def _load(run: str | None) -> "TrainedModel":
    from pdsl.environment import check_torchvision
    from pdsl.run.trained import load_trained

    if not run:
        raise InputError("--run: name the folder of a trained run, or give --results FILE.json")
    check_torchvision()
    return load_trained(run)


def _tell_failures(failed: dict[str, str]) -> None:
    for image_id, reason in list(failed.items())[:10]:
        print(f"{image_id}: {reason}; it counts as an image without detections", file=sys.stderr)
    if len(failed) > 10:
        print(f"… and {len(failed) - 10} more images; see 'failed' in {METRICS}", file=sys.stderr)
