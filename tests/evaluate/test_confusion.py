"""Which class is taken for which."""

import numpy as np

from pdsl.evaluate.confusion import confusion
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.targets import ImageTargets, Kind
from tests.evaluate.makers import detection, image_truth, truth_object

HERE, THERE, AWAY = (0, 0, 40, 40), (60, 50, 100, 90), (0, 60, 20, 90)


def counts(found: list[Prediction], *truth: ImageTargets, kind: Kind = "box") -> list[list[int]]:
    """Of two classes, from score 0.3 on."""
    listed: list[list[int]] = confusion(found, truth, 2, kind, 0.3).counts.tolist()
    return listed


def test_every_detection_counts_once_under_what_it_lies_on() -> None:
    truth = image_truth("a", truth_object(0, HERE), truth_object(1, THERE))
    found = [
        detection("a", 0, 0.9, HERE),
        detection("a", 1, 0.8, HERE),  # a second detection of the same object says what it is taken for
        detection("a", 1, 0.5, AWAY),
        detection("a", 1, 0.2, THERE),  # too unsure
    ]
    assert counts(found, truth) == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert counts(found, truth, kind="mask") == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert counts([], truth, image_truth("b")) == [[0, 0, 0], [0, 0, 0], [1, 1, 0]]


def test_of_objects_overlapped_alike_the_one_of_its_class_is_meant() -> None:
    truth = image_truth("a", truth_object(0, HERE), truth_object(1, HERE))
    assert counts([detection("a", 1, 0.9, HERE)], truth) == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]


def test_what_the_protocol_ignores_is_left_out() -> None:
    ignored = image_truth("a", truth_object(0, HERE, difficult=True), truth_object(0, THERE, crowd=True), void=AWAY)
    found = [detection("a", 1, 0.9, box) for box in (HERE, THERE, AWAY)]
    assert counts(found, ignored) == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]  # boxes know no void
    assert not np.any(counts(found, ignored, kind="mask"))
    all_count = image_truth("a", truth_object(0, HERE, difficult=True), protocol="coco")
    assert counts(found[:1], all_count) == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_images_without_masks_take_no_part_by_mask() -> None:
    truth = image_truth("a", truth_object(0, HERE, mask=False), has_masks=False)
    assert not np.any(counts([detection("a", 0, 0.9, HERE)], truth, kind="mask"))


def test_the_busiest_confusions() -> None:
    truth = image_truth("a", truth_object(0, HERE), truth_object(1, THERE))
    found = [detection("a", 1, 0.9, HERE), detection("a", 1, 0.9, HERE), detection("a", 0, 0.9, THERE)]
    table = confusion([*found, detection("a", 0, 0.9, HERE)], [truth], 2, "box", 0.3)
    assert table.busiest(5) == [(1, 0, 2), (0, 1, 1)] and table.busiest(1) == [(1, 0, 2)]
