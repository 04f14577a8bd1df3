"""A trained model evaluated: its detections with all figures, and what its training is worth."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pdsl.classes import class_ids
from pdsl.evaluate.evaluation_set import EvaluationSet
from pdsl.evaluate.metrics import coco_metrics, means_over
from pdsl.evaluate.predictions import Prediction, fill_boxes
from pdsl.evaluate.results import to_coco, write_json
from pdsl.evaluate.split import detect_split
from pdsl.evaluate.summary import Measured, measure_set
from pdsl.evaluate.voc_metrics import corloc
from pdsl.run.names import METRICS, PREDICTIONS
from pdsl.run.trained import TrainedModel, untrained

COMPARED = {
    "trained": "trained model",
    "boxes_as_masks": "its detections, boxes filled as masks",
    "untrained": "the same model, untrained",
}
"""What `training_worth` compares, and what it is called."""


@dataclass(frozen=True)
class Evaluation:
    """Detections of all images of a set, and the content of metrics.json.

    measured: the figures with the curves behind them. seconds: how long it took; None where nothing was looked at.
    """

    dataset: EvaluationSet
    predictions: Sequence[Prediction]
    metrics: Mapping[str, Any]
    measured: Measured
    seconds: float | None = None

    @property
    def exit_status(self) -> int:
        """0, or 3 if images could not be looked at."""
        return 3 if self.metrics.get("failed") else 0

    def write(self, folder: Path) -> None:
        """metrics.json and predictions.json in `folder`."""
        write_json(folder / METRICS, self.metrics)
        write_json(folder / PREDICTIONS, to_coco(self.predictions, self.dataset.images))


def evaluate_model(trained: TrainedModel, dataset: EvaluationSet, *, tta: bool = False) -> Evaluation:
    """Look at every image of the set. Those that fail count as images without detections; metrics["failed"] maps their
    ids to the reasons. Raises InputError as `detect_split`."""
    begun, store, images = time.monotonic(), dataset.proposals(), dataset.images
    predictions, failed = detect_split(trained, images, store, tta=tta)
    measured = measure_set(predictions, dataset)
    learnt_from = images.digest() in trained.image_lists if trained.image_lists else None
    about = {"data": images.spec, "split": images.split, "step": trained.step, "tta": tta, "failed": failed}
    metrics = measured.metrics | about | {"learnt_from": learnt_from} | _of_known_classes(trained, dataset, measured)
    return Evaluation(dataset, predictions, metrics, measured, time.monotonic() - begun)


def known_classes(trained: TrainedModel, dataset: EvaluationSet) -> list[str]:
    """The set's own names of the classes that the model has learnt."""
    ids = set(class_ids(trained.class_names, dataset.images, trained.config.classes))
    return [name for index, name in enumerate(dataset.images.class_names) if index in ids]


def _of_known_classes(trained: TrainedModel, dataset: EvaluationSet, measured: Measured) -> dict[str, Any]:
    """{"known_classes": {"classes": names, "of", "mask", "box"}}: the means over classes that the model has learnt,
    where the data set, which has as many as "of" says, has others as well, which pull the other means down. Else
    nothing."""
    known, number = known_classes(trained, dataset), len(dataset.images.class_names)
    if len(known) == number:
        return {}
    return {
        "known_classes": {
            "classes": known,
            "of": number,
            **{kind: means_over(measured.metrics[kind], known) for kind in ("mask", "box")},
        }
    }


def evaluate_results(predictions: Sequence[Prediction], dataset: EvaluationSet, source: str) -> Evaluation:
    """Detections of anyone's, read from `source`."""
    measured = measure_set(predictions, dataset)
    about = {"data": dataset.images.spec, "split": dataset.images.split, "results": source}
    return Evaluation(dataset, predictions, measured.metrics | about, measured)


def training_worth(
    trained: TrainedModel, evaluation: Evaluation, learnt_from: EvaluationSet | None = None
) -> dict[str, dict[str, Any]]:
    """The content of comparison.json: for each of COMPARED {"mask", "box"} as in metrics.json, on the same images.

    The trained model; its detections with their whole boxes as masks; the same model before its first update. Where the
    images that were learnt from are given, also "corloc" on these of either model, in percent.
    """
    dataset, before = evaluation.dataset, untrained(trained)
    seen_before, _ = detect_split(before, dataset.images, dataset.proposals())
    filled = fill_boxes(evaluation.predictions, {record.id: record.size for record in dataset.images.records})
    others = {"boxes_as_masks": filled, "untrained": seen_before}
    figures: dict[str, dict[str, Any]] = {
        "trained": {kind: evaluation.metrics[kind] for kind in ("mask", "box")},
        **{name: coco_metrics(found, dataset.truth, dataset.images.class_names) for name, found in others.items()},
    }
    if learnt_from is not None:
        for name, model in (("trained", trained), ("untrained", before)):
            figures[name]["corloc"] = _corloc(model, learnt_from)
    return figures


def _corloc(model: TrainedModel, dataset: EvaluationSet) -> float | None:
    """Mean CorLoc in percent; each class that an image's labels name is looked for, and no other.

    As the best detection of each comes first, no more are kept than there are classes, and no mask is blended.
    """
    few = replace(model.config.inference, detections=len(model.class_names), seed_weight=0.0)
    quick = replace(model, config=replace(model.config, inference=few))
    found, _ = detect_split(quick, dataset.images, dataset.proposals(), only_present=True)
    mean: float | None = corloc(found, dataset.truth, dataset.images.class_names)["mean"]
    return mean
