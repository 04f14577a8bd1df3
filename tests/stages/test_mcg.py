"""The whole method `mcg`: images of any shape, repeatability, plugged detectors, the guarantees of its output."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from data.boxes import pairwise_iou
from data.masks import unpack
from stages.proposals.mcg.method import mcg_proposals
from stages.proposals.mcg.params import McgParams
from stages.regions.contour import resize_long_side, smooth_contour

FAST = McgParams(mode="fast", contours="gradient", max_proposals=200, masks=True)
REPEATED = McgParams(max_proposals=300, masks=True)


def scene(height: int = 120, width: int = 160, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Flat rectangles on textured ground: the image and their boxes."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 110, (height, width, 3)).astype(np.uint8)
    boxes = np.array([[10, 20, 60, 70], [90, 15, 140, 45], [70, 60, 150, 110]])
    for box, color in zip(boxes, ((200, 40, 40), (40, 200, 60), (50, 60, 220)), strict=True):
        image[box[1] : box[3], box[0] : box[2]] = color
    return image, boxes


def check_output(image: np.ndarray, params: McgParams) -> np.ndarray:
    boxes, scores, masks = mcg_proposals(image, params)
    height, width = image.shape[:2]
    assert boxes.dtype == scores.dtype == np.float32
    assert 1 <= len(boxes) == len(scores) <= params.max_proposals
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= [width, height]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (np.diff(scores) <= 0).all()
    assert (boxes == [0, 0, width, height]).all(1).any()
    assert (masks is not None) == params.masks
    if masks is not None:
        assert masks.shape == (len(boxes), 56, 7)
        assert unpack(masks).any((1, 2)).all()
    return boxes


@pytest.mark.parametrize("contours", ["net", "gradient"])
@pytest.mark.parametrize("mode", ["accurate", "fast"])
def test_finds_flat_objects_with_their_masks(mode: str, contours: str) -> None:
    image, objects = scene()
    params = McgParams(mode=mode, contours=contours, max_proposals=200, masks=True)  # type: ignore[arg-type]
    boxes = check_output(image, params)
    assert (pairwise_iou(objects, boxes[:100]).max(1) > 0.85).all()


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (1, 300), (300, 1), (3, 3), (2, 500), (17, 5), (64, 64), (40, 900)]
)
@pytest.mark.parametrize("kind", ["constant", "noise", "grey"])
def test_any_shape_gives_proposals(shape: tuple[int, int], kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    image = {"constant": np.full_like(noise, 30), "noise": noise, "grey": np.repeat(noise[..., :1], 3, 2)}[kind]
    check_output(image, FAST)
    if kind == "constant":
        check_output(image, McgParams(max_proposals=50))


def test_a_constant_image_without_contours_is_one_proposal() -> None:
    image = np.full((50, 70, 3), 128, np.uint8)
    boxes, scores, masks = mcg_proposals(image, McgParams(masks=True), lambda x: np.zeros(x.shape[:2], np.float32))
    assert boxes.tolist() == [[0, 0, 70, 50]]
    assert len(scores) == 1
    assert masks is not None
    assert unpack(masks).all()


def test_whole_image_stays_when_only_one_proposal_is_wanted() -> None:
    image, _ = scene()
    assert check_output(image, McgParams(max_proposals=1, contours="gradient")).tolist() == [[0, 0, 160, 120]]


def test_any_function_can_be_the_detector() -> None:
    image = np.full((100, 100, 3), 128, np.uint8)

    def frame(small: np.ndarray) -> np.ndarray:
        side = len(small)
        contour = np.zeros(small.shape[:2], np.float32)
        low, high = round(0.3 * side), round(0.7 * side)
        contour[low : high + 1, [low, high]] = contour[[low, high], low : high + 1] = 1
        return contour

    boxes, _, _ = mcg_proposals(image, McgParams(), frame)
    assert pairwise_iou(np.array([[30, 30, 70, 70]]), boxes).max() > 0.9


def test_contours_are_quantised_before_the_grouping() -> None:
    probability = np.random.default_rng(0).random((30, 40)).astype(np.float32)
    jittered = np.rint(probability * 255) / 255 + np.random.default_rng(1).uniform(-1e-3, 1e-3, (30, 40))
    assert (smooth_contour(np.rint(probability * 255) / 255) == smooth_contour(jittered)).all()


def test_resizing_keeps_at_least_one_pixel() -> None:
    assert resize_long_side(np.zeros((1, 5000, 3), np.uint8), 800).shape == (1, 800, 3)
    assert resize_long_side(np.zeros((10, 20, 3), np.uint8), 40).shape == (20, 40, 3)


def digest(image: np.ndarray, params: McgParams) -> str:
    sha = hashlib.sha256()
    for part in mcg_proposals(image, params):
        sha.update(b"" if part is None else part.tobytes())
    return sha.hexdigest()


def test_same_bytes_for_other_thread_counts_and_processes() -> None:
    import cv2
    import torch

    before = cv2.getNumThreads(), torch.get_num_threads()
    digests = set()
    try:
        for threads in (1, 3):
            cv2.setNumThreads(threads)
            torch.set_num_threads(threads)
            digests.add(digest(scene()[0], REPEATED))
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])
    code = "from tests.stages.test_mcg import *; print(digest(scene()[0], REPEATED), end='')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert digests == {done.stdout}


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(4000, 6000), (6000, 40), (7, 6000)])
def test_large_images(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    check_output(rng.integers(0, 256, (*shape, 3), np.uint8), McgParams(masks=True))
    check_output(np.full((*shape, 3), 9, np.uint8), McgParams(masks=True))
