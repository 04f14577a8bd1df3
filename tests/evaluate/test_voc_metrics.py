"""VOC's AP and CorLoc on hand-computed cases, and against a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.boxes import pairwise_iou
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.voc_metrics import area_under_curve, corloc, eleven_point, voc_metrics
from tests.evaluate.makers import detection, image_truth, truth_object

CLASSES = ("cat", "dog")


def test_area_under_curve_and_eleven_points_by_hand() -> None:
    """Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1: the envelope is 1 up to 1/2 and 2/3 after it."""
    precision, recall = np.array([1, 1 / 2, 2 / 3]), np.array([1 / 2, 1 / 2, 1])
    assert area_under_curve(precision, recall) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert eleven_point(precision, recall) == pytest.approx((6 + 5 * 2 / 3) / 11)


@pytest.mark.parametrize(("hits", "points"), [(1, 2), (2, 3), (3, 3), (5, 6), (6, 6), (7, 7), (8, 9), (10, 11)])
def test_eleven_points_where_recall_is_just_a_tenth(hits: int, points: int) -> None:
    """The devkit compares with multiples of the number 0.1: 3 * 0.1 > 3 / 10, and so it is for 6 and 7."""
    precision, recall = np.ones(hits), np.arange(1, hits + 1) / 10
    assert eleven_point(precision, recall) == pytest.approx(points / 11)


def test_nothing_found() -> None:
    empty = np.zeros(0)
    assert area_under_curve(empty, empty) == 0
    assert eleven_point(empty, empty) == 0


def test_figures_at_their_thresholds() -> None:
    """IoU 0.72: a hit at 25, 50 and 70, not at 75."""
    truth = [image_truth("a", truth_object(0, (0, 0, 50, 50)))]
    figures = voc_metrics([detection("a", 0, 0.5, (0, 0, 36, 50))], truth, CLASSES)
    assert [figures["mask"][name] for name in ("AP25", "AP50", "AP70", "AP75")] == [100, 100, 100, 0]
    assert figures["box"]["AP50"] == figures["box"]["AP50_11point"] == 100
    assert figures["box"]["per_class"] == {"cat": 100}


def test_a_detection_is_held_against_what_it_overlaps_most() -> None:
    """The second detection overlaps the taken object most; VOC calls it wrong although another is in reach."""
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)), truth_object(0, (10, 0, 50, 40)))]
    found = [detection("a", 0, 0.9, (0, 0, 40, 40)), detection("a", 0, 0.8, (4, 0, 44, 40))]
    assert voc_metrics(found, truth, CLASSES)["box"]["AP50"] == 50


def test_difficult_objects_are_ignored_however_often_they_are_found() -> None:
    hard = truth_object(0, (60, 60, 100, 100), difficult=True)
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)), hard)]
    found = [detection("a", 0, s, (60, 60, 100, 100)) for s in (0.9, 0.8)] + [detection("a", 0, 0.1, (0, 0, 40, 40))]
    assert voc_metrics(found, truth, CLASSES)["box"]["AP50"] == 100


def test_void_and_crowd_are_ignored() -> None:
    crowd = truth_object(0, (60, 0, 100, 40), crowd=True)
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)), crowd, void=(60, 60, 100, 100))]
    found = [detection("a", 0, 0.9, (70, 70, 90, 90)), detection("a", 0, 0.8, (70, 0, 90, 20))]
    found.append(detection("a", 0, 0.1, (0, 0, 40, 40)))
    assert voc_metrics(found, truth, CLASSES)["mask"]["AP50"] == 100


def test_empty_results_and_empty_truth() -> None:
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)))]
    assert voc_metrics([], truth, CLASSES)["mask"]["AP50"] == 0
    assert voc_metrics([detection("a", 0, 0.9, (0, 0, 40, 40))], [image_truth("a")], CLASSES)["box"]["AP50"] is None
    assert corloc([], [], CLASSES) == {"mean": None, "per_class": {}}


def test_corloc_takes_the_best_detection_of_each_present_class() -> None:
    truth = [
        image_truth("a", truth_object(0, (0, 0, 40, 40)), truth_object(0, (50, 50, 90, 90))),
        image_truth("b", truth_object(0, (0, 0, 40, 40)), truth_object(1, (50, 50, 90, 90))),
    ]
    found = [
        detection("a", 0, 0.4, (60, 0, 100, 40)),
        detection("a", 0, 0.9, (50, 50, 88, 90)),  # best of its class, on the second object
        detection("b", 0, 0.9, (60, 0, 100, 40)),  # best of its class, on nothing
        detection("b", 0, 0.8, (0, 0, 40, 40)),
    ]  # the dog of b has no detection
    assert corloc(found, truth, CLASSES) == {"mean": 25.0, "per_class": {"cat": 50.0, "dog": 0.0}}


def test_corloc_leaves_out_images_with_difficult_objects_only() -> None:
    truth = [
        image_truth("a", truth_object(0, (0, 0, 40, 40), difficult=True)),
        image_truth("b", truth_object(0, (0, 0, 9, 9))),
    ]
    assert corloc([detection("b", 0, 0.9, (0, 0, 9, 9))], truth, CLASSES)["per_class"] == {"cat": 100.0}


def _plain_voc_ap(predictions: list[Prediction], boxes: dict[str, np.ndarray]) -> float:
    """The devkit's loop for one class without difficult objects."""
    taken = {image_id: np.zeros(len(b), bool) for image_id, b in boxes.items()}
    hits = []
    for p in sorted(predictions, key=lambda q: -q.score):
        iou = pairwise_iou(p.box[None], boxes[p.image_id])[0]
        best = int(iou.argmax()) if len(iou) else -1
        hit = best >= 0 and iou[best] >= 0.5 and not taken[p.image_id][best]
        if hit:
            taken[p.image_id][best] = True
        hits.append(hit)
    total = sum(len(b) for b in boxes.values())
    area, found = 0.0, 0
    precisions = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
    for k, hit in enumerate(hits):
        if hit:
            found += 1
            area += max(precisions[k:]) / total
    return 100 * area


_boxes = st.lists(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(5, 40)] * 2), max_size=5)


@settings(max_examples=40, deadline=None)
@given(st.lists(_boxes, min_size=2, max_size=2), st.lists(_boxes, min_size=2, max_size=2), st.randoms())
def test_equals_the_devkits_loop(true: list, found: list, random) -> None:  # type: ignore[no-untyped-def, type-arg]
    def corners(listed: list) -> np.ndarray:  # type: ignore[type-arg]
        return np.array([(x, y, x + w, y + h) for x, y, w, h in listed], float).reshape(-1, 4)

    boxes = {name: corners(listed) for name, listed in zip("ab", true, strict=True)}
    scores = iter(random.sample(range(100), 10))
    predictions = [
        detection(name, 0, next(scores) / 100, box)
        for name, listed in zip("ab", found, strict=True)
        for box in corners(listed)
    ]
    truth = [image_truth(name, *(truth_object(0, box) for box in listed)) for name, listed in boxes.items()]
    value = voc_metrics(predictions, truth, CLASSES)["box"]["AP50"]
    if not any(len(b) for b in boxes.values()):
        assert value is None
    else:
        assert value == pytest.approx(_plain_voc_ap(predictions, boxes), abs=1e-3)
