"""`eval`: figures of a run, or of anyone's results: COCO's and VOC's, and those by image-level labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.files import opened_files
from data.heap import keep_memory
from data.parameters import nest, parse_assignment
from data.records import ImageList
from pdsl.evaluate.evaluation import evaluate_results
from pdsl.evaluate.evaluation_set import EvaluationSet, read_evaluation_set
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.protocols import ProtocolName
from pdsl.evaluate.results import read_results, write_json
from pdsl.evaluate.summary import tell_metrics
from pdsl.evaluate.voc_results import file_name, write_voc_results
from pdsl.outputs import refuse_overwriting
from pdsl.report.report import write_report
from pdsl.report.run import report_run
from pdsl.run.names import METRICS, PREDICTIONS, REPORT


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
    settings: Sequence[str] = (),
) -> int:
    """Evaluate on `split` of `data`; print the figures; returns the exit status, 3 if images could not be looked at.

    With `run` and `store` (proposals of the split): predictions.json, metrics.json and report.html go to `out`, by
    default the run folder. With `results` (a COCO results file, or VOC's text files): metrics.json and report.html go
    to `out` if it is given; the report then also shows the `run` that they are said to come from. voc_results: folder
    to write the boxes into as VOC's comp4 files. settings: "inference.KEY=VALUE", others than the run's.
    """
    keep_memory()
    inference = _inference(settings, results)
    folder = _folder(run, results, out)
    with opened_files() as truth:
        dataset = read_evaluation_set(data, split, None if results else store, protocol)
    written = [METRICS, REPORT] if results else [METRICS, PREDICTIONS, REPORT]
    named = {
        "--out": [folder / name for name in written] if folder else [],
        "--voc-results": _voc_files(voc_results, dataset.images),
    }
    for option, outputs in named.items():
        refuse_overwriting(
            outputs,
            option=option,
            files=[results] if results else [],
            data=truth,
            images=dataset.images,
            run=run,
            stores=[store] if store else [],
        )
    if results:
        return _evaluate_results(results, dataset, folder, voc_results, run)
    evaluation = report_run(Path(str(run)), dataset, tta=tta, inference=inference, out=folder)
    _write_voc(voc_results, evaluation.predictions, dataset.images)
    return evaluation.exit_status


def _inference(settings: Sequence[str], results: str | None) -> dict[str, Any]:
    """What stands behind "inference." Raises InputError for anything else: the rest of a run is what it was trained
    with."""
    if settings and results:
        raise InputError(f"--set {settings[0]}: results are there already; leave it out, or evaluate a --run")
    chosen = nest(parse_assignment(text) for text in settings)
    for key, value in chosen.items():
        if key != "inference" or not isinstance(value, Mapping):
            raise InputError(f"--set {key}: of a trained run only inference.KEY=VALUE can be changed")
    return dict(chosen.get("inference", {}))


def _folder(run: str | None, results: str | None, out: str | None) -> Path | None:
    """Where the figures go, if anywhere. Raises InputError where that is not to be found out."""
    if out or results:
        return Path(out) if out else None
    if not run:
        raise InputError("--run: name the folder of a trained run, or give --results FILE.json")
    if Path(run).is_file():
        raise InputError(f"--run {run}: is one checkpoint; name with --out the folder for its figures")
    return Path(run)


def _voc_files(folder: str | None, images: ImageList) -> list[Path]:
    """What `_write_voc` writes."""
    return [Path(folder, file_name(images, name)) for name in images.class_names] if folder is not None else []


def _write_voc(folder: str | None, predictions: Sequence[Prediction], images: ImageList) -> None:
    if folder is not None:
        write_voc_results(Path(folder), predictions, images)
        print(f"written: {folder}: one {file_name(images, 'CLASS')} a class")


def _evaluate_results(
    results: str, dataset: EvaluationSet, out: Path | None, voc_results: str | None, run: str | None
) -> int:
    """Anyone's results: the figures on the terminal, and with the report in `out` if it is given."""
    data, split = dataset.images.spec, dataset.images.split
    evaluation = evaluate_results(read_results(results, dataset.images), dataset, results)
    tell_metrics(evaluation.metrics, f"{results}: {data} {split}", labels_only=dataset.labels_only)
    _write_voc(voc_results, evaluation.predictions, dataset.images)
    if out:
        write_json(out / METRICS, evaluation.metrics)
        write_report(Path(run) if run else None, out / REPORT, evaluation)
        print(f"written: {out / METRICS}, {out / REPORT}")
    return 0
