"""Which images a report shows, and how what is seen in them is judged."""

import numpy as np
import pytest

from pdsl.evaluate.targets import ImageTargets
from pdsl.report.evidence import Evidence, central_proposal, neighbours_picture, seeds_picture, shown_seeds
from pdsl.report.examples import spread_over_classes
from pdsl.report.gallery import shown, spread
from pdsl.report.judging import judge
from store.contents import IouGraph, Seeds
from tests.evaluate.makers import SIZE, detection, image_truth, truth_object

NAMES = ("cat", "<dog>")


def test_verdicts() -> None:
    truth = image_truth("a", truth_object(0, (0, 0, 40, 40)), truth_object(1, (50, 50, 90, 90)))
    found = [detection("a", 0, 0.9, (0, 0, 40, 38)), detection("a", 0, 0.8, (1, 0, 40, 40))]
    verdict = judge(found, truth)
    assert verdict.text(NAMES) == "1 right; missed: <dog>; wrong: cat"
    assert [outcome for _, outcome in verdict.detections] == ["right", "wrong"]
    assert [outcome for _, outcome in verdict.objects] == ["right", "missed"]
    assert verdict.quality == pytest.approx(2 / 4)
    assert judge([], image_truth("a")).quality == 1
    crowd = image_truth("a", truth_object(0, (0, 0, 90, 90), crowd=True))
    verdict = judge([detection("a", 0, 0.9, (0, 0, 20, 20))], crowd)
    assert verdict.quality == 1 and verdict.text(NAMES) == "0 right"
    assert verdict.detections[0][1] == verdict.objects[0][1] == "ignored"


def test_which_predictions_are_shown() -> None:
    listed = [detection("a", 0, score, (0, 0, 9, 9)) for score in (0.9, 0.4, 0.1)]
    assert [p.score for p in shown(listed)] == [0.9, 0.4]
    assert [p.score for p in shown(listed[2:])] == [0.1]
    assert shown([]) == []


def test_which_images_are_shown() -> None:
    truth = [image_truth(str(n), *([truth_object(0, (0, 0, 9, 9))] if n % 2 else [])) for n in range(21)]
    assert spread(truth, 3) == [1, 11, 19] or spread(truth, 3) == [1, 9, 19]
    assert spread(truth[:2], 3) == [1]


def test_the_class_shown_least_gets_the_middle_one_of_its_images_that_are_left() -> None:
    def showing(*classes: int) -> list[ImageTargets]:
        return [image_truth(str(n), truth_object(c, (0, 0, 9, 9))) for n, c in enumerate(classes)]

    truth = showing(0, 1, 1, 1, 2, 0, 0)
    assert spread_over_classes(truth, [], 3) == [4, 5, 2]  # the rarest first
    assert spread_over_classes(truth, [4], 2) == [5, 2] and spread_over_classes(truth, [5, 2], 1) == [4]
    assert sorted(spread_over_classes(truth, [], 9)) == list(range(7)) and not spread_over_classes(truth, range(7), 9)
    together = [image_truth("a", truth_object(0, (0, 0, 9, 9)), truth_object(1, (0, 0, 9, 9))), *showing(1)]
    assert spread_over_classes(together, [], 9) == [0, 1]
    assert spread_over_classes([image_truth("a")], [], 9) == []


def test_seeds_that_lie_apart_are_shown_best_first() -> None:
    box = np.array([[0, 0, 40, 40], [1, 0, 41, 40], [60, 60, 90, 90]], np.float32)
    mask = np.full((3, 56, 7), 255, np.uint8)
    neighbor, iou = np.array([[0, 1, 2], [1, 0, 2], [2, 0, 1]]), np.array([[1, 0.95, 0], [1, 0.95, 0], [1, 0, 0]])
    graph = IouGraph(neighbor, iou, np.array([2, 2, 1]))
    pixels = np.zeros((*SIZE, 3), np.uint8)
    evidence = Evidence(pixels, box, graph, Seeds(np.array([2, 1, 0]), mask))
    assert shown_seeds(evidence) == [2, 0]
    assert central_proposal(evidence) == 0
    assert np.asarray(seeds_picture(evidence)).any() and np.asarray(neighbours_picture(evidence)).any()
    bare = Evidence(pixels, box[:0])
    assert shown_seeds(bare) == [] and central_proposal(bare) == 0
    assert not np.asarray(seeds_picture(bare)).any() and not np.asarray(neighbours_picture(bare)).any()
