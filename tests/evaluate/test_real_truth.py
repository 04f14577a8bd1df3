"""The annotations of real data sets as results of a detector: nothing less than 100 may come out."""

from pathlib import Path

import numpy as np
import pytest

from pdsl.evaluate.evaluation_set import read_evaluation_set
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.results import from_coco, to_coco
from pdsl.evaluate.summary import evaluate_predictions


@pytest.mark.real
@pytest.mark.parametrize(("spec", "split"), [("voc:{}/voc2007", "seg-val"), ("coco:{}/coco", "val2017")])
def test_annotations_as_results_are_perfect(shared: Path, spec: str, split: str) -> None:
    """Difficult objects, crowds and what has no mask are found as well, which must not count against it."""
    spec = spec.format(shared / "data")
    given = read_evaluation_set(spec, split, None)
    images, truth = given.images, given.truth
    rng = np.random.default_rng(0)
    found = [
        Prediction(image.id, item.class_id, float(rng.random()), item.box.astype(float), item.mask)
        for image in truth
        for item in image.truth.objects
        if item.mask is not None
    ]
    assert len(found) > 50
    metrics = evaluate_predictions(from_coco(to_coco(found, images), images, "rows"), truth, images.class_names)
    assert metrics["mask"]["AP"] == pytest.approx(100, abs=1e-3)
    assert metrics["voc"]["mask"]["AP75"] == 100
    if split == "val2017":  # every object has a mask there, so every box is among the results
        assert metrics["box"]["AP"] == pytest.approx(100, abs=1e-3) and metrics["corloc"]["mean"] == 100
