"""A run folder evaluated, with all that is written and said of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pdsl.evaluate.evaluation import COMPARED, Evaluation, evaluate_model, training_worth
from pdsl.evaluate.evaluation_set import EvaluationSet
from pdsl.evaluate.results import write_json
from pdsl.evaluate.split import tell_failures
from pdsl.evaluate.summary import tell_metrics
from pdsl.figures import percent
from pdsl.report.report import write_report
from pdsl.run.names import COMPARISON, METRICS, PREDICTIONS, REPORT
from pdsl.run.trained import load_trained, with_inference


def report_run(
    run: Path,
    dataset: EvaluationSet,
    *,
    tta: bool = False,
    inference: Mapping[str, Any] | None = None,
    out: Path | None = None,
    compare: bool = False,
    learnt_from: EvaluationSet | None = None,
) -> Evaluation:
    """Evaluate run folder `run` on a set with proposals; print the figures.

    inference: settings of it that are to be others than the run's. metrics.json, predictions.json and report.html go
    to folder `out`, by default the run folder; with `compare` also RUN/comparison.json, what training is worth, which
    is then part of the report, with CorLoc on the images that were `learnt_from` if they are given. Raises InputError
    for a run or a store that can not be read.
    """
    dataset.proposals()  # a missing store is said before the model is loaded
    trained = load_trained(run)
    if inference:
        trained = with_inference(trained, inference)
    evaluation = evaluate_model(trained, dataset, tta=tta)
    if inference:
        evaluation = replace(evaluation, metrics={**evaluation.metrics, "inference": dict(inference)})
    title = f"{run}: {dataset.images.spec} {dataset.images.split}"
    tell_metrics(evaluation.metrics, title, labels_only=dataset.labels_only)
    folder = out or run
    evaluation.write(folder)
    if compare:
        write_json(run / COMPARISON, training_worth(trained, evaluation, learnt_from))
    write_report(run, folder / REPORT, evaluation)
    print(f"written: {', '.join(str(folder / name) for name in (METRICS, PREDICTIONS, REPORT))}")
    failed = evaluation.metrics["failed"]
    tell_failures(failed, "it counts as an image without detections", f"see 'failed' in {METRICS}")
    return evaluation


def print_comparison(comparison: Mapping[str, Any], console: Console, title: str) -> None:
    """The gist of comparison.json; a column CorLoc where it has "corloc"."""
    table = Table(title=title, title_justify="left")
    with_corloc = any("corloc" in figures for figures in comparison.values())
    for column in ("", *(["CorLoc"] if with_corloc else []), "mask AP50", "mask AP75", "box AP50", "box AP75"):
        table.add_column(column, justify="right" if column else "left")
    for name, label in COMPARED.items():
        figures = [comparison[name][kind][metric] for kind in ("mask", "box") for metric in ("AP50", "AP75")]
        if with_corloc:
            figures.insert(0, comparison[name].get("corloc"))
        table.add_row(label, *(percent(figure) for figure in figures))
    console.print(table)
