"""OpenCV's selective search behind our conventions."""

from pathlib import Path

import numpy as np
import pytest

from data.boxes import area, pairwise_iou
from data.decode import decode_image
from data.scenes import draw_scene
from stages.proposals.params import SelectiveSearchParams
from stages.proposals.selective_search import selective_search

FAST = SelectiveSearchParams(mode="fast")


def _check(boxes: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> None:
    assert boxes.shape == (len(scores), 4) and len(scores) >= 1
    assert boxes.dtype == scores.dtype == np.float32
    assert (boxes >= 0).all() and (boxes <= [size[1], size[0]] * 2).all()
    assert (area(boxes) > 0).all()
    assert (np.diff(scores) < 0).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2), (40, 40), (2, 900)])
def test_tiny_constant_and_extreme_images(size: tuple[int, int]) -> None:
    boxes, scores = selective_search(np.full((*size, 3), 99, np.uint8), FAST)
    _check(boxes, scores, size)
    assert [0, 0, size[1], size[0]] in boxes.tolist()


@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_objects_are_proposed_and_the_bytes_repeat(mode: str) -> None:
    scene = draw_scene(np.random.default_rng(3), side=96)
    params = SelectiveSearchParams(mode=mode)  # type: ignore[arg-type]
    boxes, scores = selective_search(scene.image, params)
    _check(boxes, scores, scene.instance.shape)
    again, _ = selective_search(scene.image, params)
    assert boxes.tobytes() == again.tobytes()
    rows, columns = np.nonzero(scene.instance == 1)
    truth = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
    assert pairwise_iou(truth, boxes).max() > 0.5


def test_large_images_are_reduced_and_boxes_scaled_back() -> None:
    image = np.zeros((300, 600, 3), np.uint8)
    image[60:180, 120:360] = (255, 40, 0)
    boxes, scores = selective_search(image, SelectiveSearchParams(mode="fast", side=200, max_proposals=7))
    _check(boxes, scores, (300, 600))
    assert len(boxes) <= 7
    assert pairwise_iou(np.array([[120, 60, 360, 180]]), boxes).max() > 0.9


@pytest.mark.real
def test_on_a_real_image(shared: Path) -> None:
    image = decode_image(shared / "data/coco/val2017/000000000139.jpg", exif=False)
    boxes, scores = selective_search(image, FAST)
    _check(boxes, scores, image.shape[:2])
    assert len(boxes) > 500
    assert selective_search(image, FAST)[0].tobytes() == boxes.tobytes()
