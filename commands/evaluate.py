"""`eval`: COCO and VOC figures of a run, or of anyone's results in COCO format."""

from pathlib import Path

from rich.console import Console

from data.errors import InputError
from pdsl.evaluate.evaluation_set import EvaluationSet, read_evaluation_set
from pdsl.evaluate.protocols import ProtocolName
from pdsl.evaluate.results import read_results, write_json
from pdsl.evaluate.summary import evaluate_predictions, print_metrics
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
    protocol: ProtocolName | None = None,
) -> int:
    """Evaluate on `split` of `data`; print the figures; returns the exit status, 3 if images could not be looked at.

    With `run` and `store` (proposals of the split): predictions.json, metrics.json and report.html go to `out`, by
    default the run folder. With `results` (a COCO results file): metrics.json goes to `out` if it is given.
    """
    folder = Path(out) if out else None
    if results:
        return _evaluate_results(results, read_evaluation_set(data, split, None, protocol), folder)
    if not run:
        raise InputError("--run: name the folder of a trained run, or give --results FILE.json")
    evaluation = report_run(Path(run), read_evaluation_set(data, split, store, protocol), tta=tta, out=folder)
    return 3 if evaluation.metrics["failed"] else 0


def _evaluate_results(results: str, dataset: EvaluationSet, out: Path | None) -> int:
    """Anyone's COCO results: the figures on the terminal, and in `out` if it is given."""
    data, split = dataset.images.spec, dataset.images.split
    predictions = read_results(results, dataset.images)
    metrics = evaluate_predictions(predictions, dataset.truth, dataset.images.class_names)
    print_metrics(metrics, Console(), f"{results}: {data} {split}")
    if out:
        write_json(out / METRICS, metrics | {"data": data, "split": split, "results": results})
        print(f"written: {out / METRICS}")
    return 0
