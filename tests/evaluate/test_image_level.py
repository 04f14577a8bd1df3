"""Figures by image-level labels."""

import numpy as np
import pytest

from data.records import ImageList, ImageRecord
from pdsl.evaluate.image_level import best_scores, image_metrics, image_rows
from tests.evaluate.makers import SIZE, detection

BOX = (0, 0, 9, 9)
LABELS = {"a": (0,), "b": (0, 1), "c": (), "d": (0,)}
IMAGES = ImageList(
    "folder:here", "val", ("cat", "dog", "elk"), (1, 2, 3),
    tuple(ImageRecord(i, f"{i}.jpg", SIZE, label) for i, label in LABELS.items()),
)  # fmt: skip


@pytest.mark.parametrize(
    ("cats", "expected"),
    [
        ({"a": 0.9, "b": 0.8, "d": 0.7, "c": 0.1}, 100.0),
        ({"c": 0.9, "a": 0.8, "b": 0.7, "d": 0.6}, 75.0),  # precision 1/2, 2/3, 3/4, made non-increasing
        ({"a": 0.9, "c": 0.8, "b": 0.7, "d": 0.6}, 100 * (1 / 3 + 2 / 3 * 3 / 4)),
        ({}, 75.0),  # all images are equal: three of four are right
        ({"a": 0.9}, 100 * (1 / 3 + 2 / 3 * 3 / 4)),  # the others are equal
        ({"c": 0.9}, 75.0),
        ({"c": -3.0, "a": -1.0, "b": -1.5, "d": -2.0}, 100.0),  # anyone's scores
        ({"a": -1.0}, 100 * (1 / 3 + 2 / 3 * 3 / 4)),  # an image without a detection comes last
    ],
)
def test_average_precision(cats: dict[str, float], expected: float) -> None:
    found = [detection(image, 0, score, BOX) for image, score in cats.items()]
    metrics = image_metrics(found, IMAGES)
    assert metrics["per_class"]["cat"]["AP"] == pytest.approx(expected, abs=1e-4)


def test_counts_of_each_class_and_the_mean_over_those_that_are_there() -> None:
    found = [
        detection("a", 0, 0.2, BOX), detection("a", 0, 0.6, BOX), detection("c", 0, 0.31, BOX),
        detection("b", 1, 0.9, BOX), detection("b", 2, 0.05, BOX),
    ]  # fmt: skip
    metrics = image_metrics(found, IMAGES)
    cat = metrics["per_class"]["cat"]
    assert {key: cat[key] for key in cat if key != "AP"} == {"images": 3, "found": 2, "right": 1, "detections": 3}
    assert metrics["per_class"]["dog"] == {"AP": 100.0, "images": 1, "found": 1, "right": 1, "detections": 1}
    assert metrics["per_class"]["elk"] == {"AP": None, "images": 0, "found": 0, "right": 0, "detections": 1}
    assert metrics["mAP"] == pytest.approx((cat["AP"] + 100) / 2, abs=1e-4)
    assert list(image_rows({"image": metrics}))[2] == ["elk", "0", "0", "0", "1", "-"]
    none = -np.inf
    expected = [[0.6, none, none], [none, 0.9, 0.05], [0.31, none, none], [none] * 3]
    assert best_scores(found, IMAGES)[0].tolist() == expected


def test_nothing_labelled_and_nothing_found() -> None:
    bare = ImageList("folder:here", "val", ("cat",), (1,), (ImageRecord("a", "a.jpg", SIZE, ()),))
    assert image_metrics([], bare) == {"mAP": None, "per_class": {}}
