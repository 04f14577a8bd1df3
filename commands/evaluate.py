"""`eval`: COCO and VOC figures of a run, or of anyone's results in COCO format."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from data.errors import InputError
from data.records import ImageList
from pdsl.evaluate.evaluation_set import EvaluationSet, read_evaluation_set
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.protocols import ProtocolName
from pdsl.evaluate.results import read_results, write_json
from pdsl.evaluate.summary import evaluate_predictions, print_metrics
from pdsl.evaluate.voc_results import file_name, write_voc_results
from pdsl.report.run import report_run
from pdsl.run.names import METRICS


def run(
    *,
    run: str | None,
    data: str,
    split: str,
    store: str | None,
    results: str | None,
    tta: bool,
    out: str | None,
    voc_results: str | None = None,
    protocol: ProtocolName | None = None,
) -> int:
    """Evaluate on `split` of `data`; print the figures; returns the exit status, 3 if images could not be looked at.

    With `run` and `store` (proposals of the split): predictions.json, metrics.json and report.html go to `out`, by
    default the run folder. With `results` (a COCO results file, or VOC's text files): metrics.json goes to `out` if it
    is given. voc_results: folder to write the boxes into as VOC's comp4 files.
    """
    folder = Path(out) if out else None
    if results:
        dataset = read_evaluation_set(data, split, None, protocol)
        return _evaluate_results(results, dataset, folder, voc_results)
    if not run:
        raise InputError("--run: name the folder of a trained run, or give --results FILE.json")
    dataset = read_evaluation_set(data, split, store, protocol)
    evaluation = report_run(Path(run), dataset, tta=tta, out=folder)
    _write_voc(voc_results, evaluation.predictions, dataset.images)
    return evaluation.exit_status


def _write_voc(folder: str | None, predictions: Sequence[Prediction], images: ImageList) -> None:
    if folder is not None:
        write_voc_results(Path(folder), predictions, images)
        print(f"written: {folder}: one {file_name(images, 'CLASS')} a class")


def _evaluate_results(results: str, dataset: EvaluationSet, out: Path | None, voc_results: str | None) -> int:
    """Anyone's results: the figures on the terminal, and in `out` if it is given."""
    data, split = dataset.images.spec, dataset.images.split
    predictions = read_results(results, dataset.images)
    metrics = evaluate_predictions(predictions, dataset.truth, dataset.images.class_names)
    print_metrics(metrics, Console(emoji=False), f"{results}: {data} {split}")
    _write_voc(voc_results, predictions, dataset.images)
    if out:
        write_json(out / METRICS, metrics | {"data": data, "split": split, "results": results})
        print(f"written: {out / METRICS}")
    return 0
