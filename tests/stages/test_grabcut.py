"""The stage `grabcut` as a whole: rows, awkward boxes and images, determinism, and the frame of its masks."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256

import cv2
import numpy as np
import pytest
import torch

from data.masks import paste, to_box_frame, unpack
from data.records import ImageRecord
from pdsl.model.pseudo_labels import mask_targets
from pipeline.spec import StageInput
from stages.grabcut.parameters import ColourCutParams, GrabcutParams, OpenCVParams
from stages.grabcut.stage import grabcut_stage, seed_masks
from stages.iou_graph.stage import iou_graph_stage

METHODS = (GrabcutParams(), GrabcutParams(method="opencv", opencv=OpenCVParams(long_side=64, iterations=1)))


def scene(height: int = 120, width: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """A textured disc on a textured ground and its mask."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    disc = (y - 62) ** 2 + (x - 70) ** 2 < 34**2
    image = np.where(disc[..., None], (190, 70, 50), (70, 110, 130)) + rng.normal(0, 12, (height, width, 3))
    return cv2.GaussianBlur(image.clip(0, 255).astype(np.uint8), (0, 0), 0.8), disc


def awkward_boxes(height: int, width: int) -> np.ndarray:
    return np.array(
        [
            [0, 0, width, height],  # the whole image
            [width / 2, height / 2, width / 2 + 1, height / 2 + 1],  # one pixel
            [3, 0, 4, height],  # one column
            [0, 3, width, 4],  # one row
            [width - 1, height - 1, width, height],  # a corner
            [-20, -20, width / 3, height / 3],  # over the border
            [width - 0.5, 2, width + 30.5, 9],
            [-50, -50, width + 50, height + 50],  # around the image
            [2 * width, 2 * height, 3 * width, 3 * height],  # beside the image
            [5, 5, 5, 9],  # no width
            [9, 9, 4, 4],  # inside out
            [0, 0, 0, 0],
            [0.2, 0.2, 0.4, 0.3],  # within a pixel
            [0, 0, 1e9, 1e9],
            [1e6, 3, 1e6 + 50, 9],  # too far away to have a width left
            [np.nan, 0, 5, 5],
            [-np.inf, 0, np.inf, 5],
        ],
        np.float32,
    )


def images() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    grey = rng.integers(0, 256, (40, 50, 1), np.uint8)
    return {
        "noise": rng.integers(0, 256, (60, 45, 3), np.uint8),
        "grey": np.repeat(grey, 3, 2),
        "constant": np.full((30, 70, 3), 90, np.uint8),
        "black": np.zeros((33, 31, 3), np.uint8),
        "two colours": np.repeat(np.eye(16, dtype=np.uint8)[..., None] * 255, 3, 2),
        "one pixel": np.full((1, 1, 3), 7, np.uint8),
        "one row": rng.integers(0, 256, (1, 90, 3), np.uint8),
        "one column": rng.integers(0, 256, (200, 1, 3), np.uint8),
    }


@pytest.mark.parametrize("params", METHODS, ids=lambda p: p.method)
@pytest.mark.parametrize("name", images())
def test_no_box_and_no_image_is_too_awkward(params: GrabcutParams, name: str) -> None:
    image = images()[name]
    boxes = awkward_boxes(*image.shape[:2])
    packed, quality = seed_masks(image, boxes, params)
    masks = unpack(packed)
    assert masks.shape == (len(boxes), 56, 56)
    assert masks.dtype == bool
    assert masks.any((1, 2)).all()
    if quality is not None:
        assert ((quality >= 0) & (quality <= 1)).all()
        assert quality[11] == 0  # no area


@pytest.mark.parametrize("params", METHODS, ids=lambda p: p.method)
def test_a_disc_is_found(params: GrabcutParams) -> None:
    image, disc = scene()
    boxes = np.array([[36, 28, 105, 97], [25, 20, 120, 110]], np.float32)
    for box, mask in zip(boxes, unpack(seed_masks(image, boxes, params).packed), strict=True):
        found = paste(mask, box, disc.shape)
        assert (found & disc).sum() / (found | disc).sum() > 0.9


@pytest.mark.parametrize("params", METHODS, ids=lambda p: p.method)
def test_without_a_vote_a_mask_depends_on_neither_the_other_boxes_nor_the_thread(params: GrabcutParams) -> None:
    params = replace(params, colour_cut=ColourCutParams(vote_iou=1.0))
    image, _ = scene()
    rng = np.random.default_rng(2)
    low = rng.uniform(0, 80, (8, 2))
    boxes = np.concatenate([low, low + rng.uniform(10, 60, (8, 2))], 1).astype(np.float32)
    together = seed_masks(image, boxes, params).packed
    with ThreadPoolExecutor(3) as pool:
        alone = list(pool.map(lambda box: seed_masks(image, box[None], params).packed[0], boxes[::-1]))
    np.testing.assert_array_equal(np.array(alone)[::-1], together)


def test_another_process_with_more_threads_gives_the_same_bytes() -> None:
    code = (
        "import sys; sys.path.insert(0, '.'); import cv2, torch; cv2.setNumThreads(4); torch.set_num_threads(4)\n"
        "from tests.stages.test_grabcut import METHODS, digest\n"
        "print(*(digest(params) for params in METHODS))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [digest(params) for params in METHODS]


def digest(params: GrabcutParams) -> str:
    image, _ = scene()
    boxes = np.array([[36, 28, 105, 97], [25, 20, 120, 110], [100, 3, 150, 90]], np.float32)
    return sha256(seed_masks(image, boxes, params).packed.tobytes()).hexdigest()


def given(boxes: np.ndarray, capacity: int, image: np.ndarray) -> StageInput:
    """Input of the stage with an IoU graph computed from `boxes`."""
    padded = np.zeros((capacity, 4), np.float32)
    padded[: len(boxes)] = boxes
    arrays = {"proposals/box": padded, "proposals/count": np.int32(len(boxes))}
    record = ImageRecord("a", "a.jpg", image.shape[:2], (0,))
    graph = iou_graph_stage({}, capacity).compute(StageInput(record, None, arrays))
    return StageInput(record, image, {**arrays, **graph})


@pytest.mark.parametrize("seeds", ["cover", "all"])
def test_rows_have_the_declared_shapes_and_padding(seeds: str) -> None:
    image, _ = scene()
    boxes = np.array([[36, 28, 105, 97], [37, 28, 105, 97], [100, 3, 150, 90]], np.float32)
    stage = grabcut_stage({"seeds": seeds}, 6)
    rows = stage.compute(given(boxes, 6, image))
    for spec in stage.arrays:
        assert rows[spec.name].shape == spec.row_shape
        assert rows[spec.name].dtype == spec.dtype
    count = 2 if seeds == "cover" else 3
    assert rows["grabcut/count"] == count
    assert rows["grabcut/seed"].tolist() == ([0, 2] if seeds == "cover" else [0, 1, 2]) + [0] * (6 - count)
    assert not rows["grabcut/mask"][count:].any() and not rows["grabcut/quality"][count:].any()
    wanted = seed_masks(image, boxes[rows["grabcut/seed"][:count]], GrabcutParams())
    np.testing.assert_array_equal(rows["grabcut/mask"][:count], wanted.packed)
    assert wanted.quality is not None and (wanted.quality > 0).all()
    np.testing.assert_array_equal(rows["grabcut/quality"][:count], wanted.quality.astype(np.float16))


def test_an_image_without_proposals_gets_no_seeds() -> None:
    image, _ = scene()
    rows = grabcut_stage({}, 4).compute(given(np.zeros((0, 4), np.float32), 4, image))
    assert rows["grabcut/count"] == 0
    assert not rows["grabcut/mask"].any()


@pytest.mark.parametrize(("proposals", "measured"), [(0, 0), (30, 30), (90, 45), (130, 44)])
def test_what_is_measured_is_a_part_of_the_seeds(
    proposals: int, measured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the capacity: some forty masks, spread over all; and which share of the work they are."""

    def whole(image: np.ndarray, boxes: np.ndarray, params: OpenCVParams) -> np.ndarray:
        return np.ones((len(boxes), 56, 56), bool)

    monkeypatch.setattr("stages.grabcut.opencv_grabcut.opencv_masks", whole)
    image, _ = scene()
    corner = np.arange(proposals, dtype=np.float32)[:, None]
    image_input = given(np.concatenate([corner, corner, corner + 20, corner + 20], 1), 200, image)
    part = grabcut_stage({"method": "opencv", "seeds": "all"}, 200).part
    assert part is not None and grabcut_stage({}, 200).part is None
    rows = part(image_input)
    assert rows["grabcut/count"] == measured
    assert part.share(image_input.arrays) == (measured / proposals if proposals else 1)
    seeds = rows["grabcut/seed"][:measured]
    assert proposals == 0 or (set(np.diff(seeds)) == {max(1, proposals // 40)} and seeds[-1] >= proposals - 4)


def test_the_frame_of_a_stored_mask_is_that_of_the_training_target() -> None:
    """Image -> seed -> 28 x 28 target, against a direct crop of the full-resolution mask. A shift by half a cell
    anywhere on the way would lower the agreement visibly."""
    image, disc = scene()
    seed_box = np.array([36, 28, 105, 97], np.float32)
    mask = unpack(seed_masks(image, seed_box[None], GrabcutParams()).packed)
    full = paste(mask[0], seed_box, disc.shape)
    for frame in np.array([[36, 28, 105, 97], [50.5, 40.25, 120, 90], [30, 60, 100, 110]], np.float32):
        target = mask_targets(
            torch.from_numpy(frame[None]),
            torch.from_numpy(seed_box[None]),
            torch.from_numpy(mask),
            torch.zeros(1, dtype=torch.int64),
            28,
        )[0].bool()
        agreement = {}
        for shift in (-1.25, 0.0, 1.25):  # half a cell of the target
            direct = to_box_frame(full, frame + np.float32(shift), 28)
            agreement[shift] = (direct & target.numpy()).sum() / (direct | target.numpy()).sum()
        assert agreement[0.0] > 0.97
        assert agreement[0.0] > max(agreement[-1.25], agreement[1.25])
