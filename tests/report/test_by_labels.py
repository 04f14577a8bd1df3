"""What is shown where image-level labels are the only truth."""

from pathlib import Path

import pytest
from PIL import Image

from data.records import ImageList, ImageRecord
from pdsl.evaluate.evaluation import Evaluation
from pdsl.evaluate.evaluation_set import EvaluationSet
from pdsl.evaluate.image_level import image_metrics
from pdsl.evaluate.summary import Measured
from pdsl.report.by_labels import contradictions, examples, tiles
from pdsl.report.examples import Gallery
from tests.evaluate.makers import SIZE, detection, image_truth

BOX = (5, 5, 40, 40)
LABELS = {"a": (0,), "b": (0, 1), "c": (), "d": (1,), "broken": (0,)}


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """Image a is right, b misses its dog, c is told to show a cat, d has nothing, the last can not be read."""
    for name in LABELS:
        Image.new("RGB", SIZE[::-1], (90, 120, 90)).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    records = tuple(ImageRecord(n, str(tmp_path / f"{n}.png"), SIZE, label) for n, label in LABELS.items())
    images = ImageList("folder:here", "val", ("cat", "dog"), (1, 2), records)
    found = [
        detection("a", 0, 0.9, BOX), detection("b", 0, 0.5, BOX), detection("b", 1, 0.2, BOX),
        detection("c", 0, 0.85, BOX), detection("broken", 0, 0.6, BOX),
    ]  # fmt: skip
    dataset = EvaluationSet(images, [image_truth(name, has_masks=False) for name in LABELS], labels_only=True)
    metrics = {"image": image_metrics(found, images)}
    return Evaluation(dataset, found, metrics, Measured(metrics, {}, {}))


def captions(gallery: Gallery) -> list[str]:
    return [picture.caption for row in gallery.rows for picture in row.pictures]


def test_the_worst_contradictions_come_first_and_say_what_they_are(evaluation: Evaluation) -> None:
    assert captions(contradictions(evaluation)) == [
        "d: missed dog (best 0.00)",
        "c: beside the labels cat 0.85",
        "b: right cat; missed dog (best 0.20)",
    ]


def test_examples_are_spread_over_the_split(evaluation: Evaluation) -> None:
    drawn = examples(evaluation)
    assert [caption.partition(":")[0] for caption in captions(drawn)] == ["a", "b", "c", "d"]
    assert captions(drawn)[0] == "a: right cat" and [row.classes for row in drawn.rows] == [{0, 1}, {1}]


def test_figures_in_large_print(evaluation: Evaluation) -> None:
    assert [value for value, _ in tiles(evaluation.metrics)][1:] == ["3 of 5", "1"]
