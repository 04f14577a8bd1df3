"""The curves that a report draws are those whose means are the figures."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from data.errors import InputError
from pdsl.evaluate.coco_matching import ENGINE
from pdsl.evaluate.metrics import precision_tables
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.summary import measure
from pdsl.evaluate.targets import ImageTargets
from tests.evaluate.makers import detection, image_truth, truth_object
from tests.needs import FASTER_COCO_EVAL

NAMES = ("cat", "dog", "cow")


def scattered(seed: int, images: int = 12) -> tuple[list[Prediction], list[ImageTargets]]:
    """Two classes with objects, and detections that lie near some of them."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for number in range(images):
        objects = []
        for _ in range(rng.integers(1, 4)):
            corner = rng.integers(0, 50, 2)
            box = np.array([*corner, *(corner + rng.integers(15, 45, 2))])
            objects.append(truth_object(int(rng.integers(2)), box, difficult=bool(rng.random() < 0.2)))
            moved = box + rng.integers(-6, 6, 4)
            found.append(detection(str(number), int(rng.integers(2)), float(rng.random()), moved))
        truth.append(image_truth(str(number), *objects))
    return found, truth


@pytest.mark.parametrize("seed", range(3))
def test_their_means_are_the_figures(seed: int) -> None:
    found, truth = scattered(seed)
    measured = measure(found, truth, NAMES)
    for kind in ("mask", "box"):
        assert set(measured.coco[kind]) == set(measured.voc[kind]) == {"cat", "dog"}
        for name, curve in measured.coco[kind].items():
            assert 100 * curve.mean() == pytest.approx(measured.metrics[kind]["per_class"][name]["AP50"], abs=1e-3)
            assert curve.shape == (101,) and (np.diff(curve) <= 0).all()
        for name, curve in measured.voc[kind].items():  # the area, read off at 101 places
            assert 100 * curve.mean() == pytest.approx(measured.metrics["voc"][kind]["per_class"][name], abs=2)


def test_a_curve_by_hand() -> None:
    """Two objects, hit by the first and the third of three detections: 1 up to a half, then two thirds."""
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)), truth_object(0, (60, 50, 100, 90)))]
    found = [
        detection("a", 0, score, box)
        for score, box in ((0.9, (0, 0, 40, 40)), (0.8, (0, 60, 20, 90)), (0.7, (60, 50, 100, 90)))
    ]
    measured = measure(found, truth, NAMES)
    for curves in (measured.coco, measured.voc):
        assert curves["box"]["cat"] == pytest.approx([1.0] * 51 + [2 / 3] * 50)


def test_without_masks_there_are_none_of_them() -> None:
    measured = measure([detection("a", 0, 0.9, (0, 0, 9, 9), mask=False)], [image_truth("a")], NAMES)
    assert not measured.coco["mask"] and "mask" not in measured.voc


@pytest.mark.parametrize("seed", range(6))
def test_the_faster_engine_has_the_same_figures_and_curves(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    FASTER_COCO_EVAL.or_skip()
    found, truth = scattered(seed, 30)
    found += [replace(p, score=round(p.score, 1)) for p in found]  # with ties
    slow = precision_tables(found, truth, NAMES)
    monkeypatch.setenv(ENGINE, "faster")
    for kind, table in precision_tables(found, truth, NAMES).items():
        assert table.figures() == slow[kind].figures()
        assert table.precision == pytest.approx(slow[kind].precision, abs=1e-12)


def test_an_engine_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENGINE, "fast")
    with pytest.raises(InputError, match=r"PDSL_COCO_EVAL=fast: the only other engine is called 'faster'; unset"):
        precision_tables([], [image_truth("a")], NAMES)
    monkeypatch.setenv(ENGINE, "faster")
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(InputError, match=r"PDSL_COCO_EVAL=faster: .*; install faster-coco-eval, or unset the variable"):
        precision_tables([], [image_truth("a")], NAMES)
