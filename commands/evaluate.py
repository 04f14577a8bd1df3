"""`eval`: COCO and VOC figures of a run, or of anyone's results in COCO format."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track

from data.catalog import load_images
from data.errors import InputError
from data.records import ImageList
from data.truth import ImageTruth
from data.truth_reader import load_truth

if TYPE_CHECKING:
    from pdsl.evaluate.predictions import Prediction
    from pdsl.evaluate.trained import TrainedModel
    from pipeline.store import Store

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


def run(
    *,
    run: str | None,
    data: str,
    split: str,
    store: str | None,
    results: str | None,
    tta: bool,
    out: str | None,
) -> int:
    """Evaluate on `split` of `data`; print the figures; returns the exit status, 3 if images could not be looked at.

    With `run` and `store` (proposals of the split): predictions.json, metrics.json and report.html go to `out`, by
    default the run folder. With `results` (a COCO results file): metrics.json goes to `out` if it is given.
    """
    from pdsl.evaluate.results import read_results, to_coco, write_json
    from pdsl.evaluate.summary import evaluate_predictions, print_metrics
    from pdsl.report.report import write_report

    console = Console()
    task = read_task(data, split, None if results else store)
    failed: dict[str, str] = {}
    facts: dict[str, Any] = {"data": data, "split": split}
    if results:
        predictions = read_results(results, task.images)
    else:
        trained = _load(run, store)
        predictions, failed = predict_task(trained, task, tta)
        facts |= {"step": trained.step, "tta": tta, "failed": failed}
    metrics = evaluate_predictions(predictions, task.truth, task.images.class_names) | facts
    print_metrics(metrics, console, f"{results or run}: {data} {split}")
    folder = Path(out) if out else None if results or not run else Path(run)
    if folder is None:
        return 0
    write_json(folder / METRICS, metrics)
    if run and not results:
        write_json(folder / PREDICTIONS, to_coco(predictions, task.images))
        comparison = json.loads(path.read_text()) if (path := Path(run) / COMPARISON).exists() else None
        write_report(Path(run), folder / REPORT, task.images, task.truth, predictions, metrics, task.store, comparison)
        console.print(f"written: {', '.join(str(folder / name) for name in (METRICS, PREDICTIONS, REPORT))}")
    _tell_failures(failed)
    return 3 if failed else 0


def compare(*, run: str, data: str, split: str, store: str) -> dict[str, dict[str, Any]]:
    """What the training of `run` is worth: {"trained", "boxes_as_masks", "untrained"}, each {"mask", "box"} as in
    metrics.json.

    The trained model; its detections with their whole boxes as masks; the same model before its first update. Written
    to RUN/comparison.json by the caller, it becomes part of the report.
    """
    from pdsl.evaluate.metrics import coco_metrics
    from pdsl.evaluate.predictions import fill_boxes
    from pdsl.evaluate.trained import untrained

    task = read_task(data, split, store)
    trained = _load(run, store)
    after, _ = predict_task(trained, task, tta=False)
    before, _ = predict_task(untrained(trained), task, tta=False)
    filled = fill_boxes(after, {record.id: record.size for record in task.images.records})
    compared = {"trained": after, "boxes_as_masks": filled, "untrained": before}
    return {name: coco_metrics(found, task.truth, task.images.class_names) for name, found in compared.items()}


def read_task(data: str, split: str, store: str | None) -> Task:
    """Images, truth and store; InputError if the store holds other images."""
    from pipeline.store import open_store

    images = load_images(data, split)
    if store is None:
        return Task(images, load_truth(data, split))
    opened = open_store(store)
    aligned = opened.align(images)
    by_id = {truth.id: truth for truth in load_truth(data, split)}
    return Task(aligned, [by_id[record.id] for record in aligned.records], opened)


def predict_task(trained: "TrainedModel", task: Task, tta: bool) -> tuple[list["Prediction"], dict[str, str]]:
    """Predictions of all images, and the reason by id of those that could not be looked at. Shows its progress."""
    from pdsl.evaluate.infer import detect_images
    from pdsl.evaluate.stored_proposals import StoredProposals

    if task.store is None:
        raise InputError("--store: the store with the split's proposals is needed; `precompute` makes one")
    found: list[Prediction] = []
    failed: dict[str, str] = {}
    looked_at = detect_images(
        trained.model,
        task.images,
        StoredProposals(task.store),
        trained.config.inference,
        tta=tta,
        class_ids=trained.class_ids(task.images),
        max_proposals=trained.config.data.max_proposals,
    )
    for record, outcome in track(looked_at, "detect", len(task.images), console=progress_console()):
        if isinstance(outcome, str):
            failed[record.id] = outcome
        else:
            found += outcome
    return found, failed


def progress_console() -> Console:
    """Progress goes to stderr; results to stdout."""
    return Console(stderr=True)


def _load(run: str | None, store: str | None) -> "TrainedModel":
    from pdsl.environment import check_torchvision
    from pdsl.evaluate.trained import load_trained

    if not run:
        raise InputError("--run: name the folder of a trained run, or give --results FILE.json")
    if not store:
        raise InputError("--store: the store with the split's proposals is needed; `precompute` makes one")
    check_torchvision()
    return load_trained(run)


def _tell_failures(failed: dict[str, str]) -> None:
    for image_id, reason in list(failed.items())[:10]:
        print(f"{image_id}: {reason}; it counts as an image without detections", file=sys.stderr)
    if len(failed) > 10:
        print(f"… and {len(failed) - 10} more images; see 'failed' in {METRICS}", file=sys.stderr)
