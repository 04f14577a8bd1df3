"""Box-frame masks: the pixel-centre rule against a plain loop, packing, round trips."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.masks import MASK_SIDE, pack, paste, tight_box, to_box_frame, unpack

BOX = st.tuples(*[st.floats(-20, 40, width=32)] * 2, *[st.floats(0, 50, width=32)] * 2).map(
    lambda v: np.array([v[0], v[1], v[0] + v[2], v[1] + v[3]], np.float32)
)


def slow_paste(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The rule as shared/bench/seed_masks.py has it, pixel by pixel in float64."""
    cells = mask.shape[0]
    x0, y0, x1, y1 = map(float, box)
    out = np.zeros(size, bool)
    for y in range(size[0]):
        for x in range(size[1]):
            row = math.floor((y + 0.5 - y0) / max(y1 - y0, 1e-6) * cells)
            column = math.floor((x + 0.5 - x0) / max(x1 - x0, 1e-6) * cells)
            if 0 <= row < cells and 0 <= column < cells:
                out[y, x] = mask[row, column]
    return out


@settings(max_examples=40, deadline=None)
@given(BOX, st.integers(0, 2**32 - 1))
def test_paste_follows_the_pixel_centre_rule(box: np.ndarray, seed: int) -> None:
    mask = np.random.default_rng(seed).random((7, 7)) < 0.5
    np.testing.assert_array_equal(paste(mask, box, (23, 31)), slow_paste(mask, box, (23, 31)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_pack_round_trip(seed: int) -> None:
    mask = np.random.default_rng(seed).random((3, MASK_SIDE, MASK_SIDE)) < 0.5
    packed = pack(mask)
    assert packed.shape == (3, MASK_SIDE, MASK_SIDE // 8)
    assert packed.dtype == np.uint8
    np.testing.assert_array_equal(unpack(packed), mask)


def test_most_significant_bit_is_the_leftmost_cell() -> None:
    mask = np.zeros((MASK_SIDE, MASK_SIDE), bool)
    mask[0, 0] = True
    assert pack(mask)[0, 0] == 128


@settings(max_examples=20, deadline=None)
@given(st.integers(1, MASK_SIDE), st.integers(1, MASK_SIDE), st.integers(0, 2**32 - 1))
def test_a_mask_no_larger_than_the_frame_survives_the_round_trip(height: int, width: int, seed: int) -> None:
    full = np.zeros((70, 80), bool)
    full[5 : 5 + height, 9 : 9 + width] = np.random.default_rng(seed).random((height, width)) < 0.5
    box = np.array([9, 5, 9 + width, 5 + height], np.float32)
    np.testing.assert_array_equal(paste(to_box_frame(full, box), box, full.shape), full)


def test_box_frame_outside_the_image_is_false() -> None:
    frame = to_box_frame(np.ones((10, 10), bool), np.array([-10, 0, 10, 10], np.float32))
    assert not frame[:, : MASK_SIDE // 2].any()
    assert frame[:, MASK_SIDE // 2 :].all()


def test_degenerate_boxes_do_not_crash() -> None:
    box = np.array([3, 3, 3, 3], np.float32)
    assert not paste(np.ones((4, 4), bool), box, (8, 8)).any()
    assert to_box_frame(np.ones((8, 8), bool), box).shape == (MASK_SIDE, MASK_SIDE)


def test_tight_box() -> None:
    full = np.zeros((9, 9), bool)
    assert tight_box(full).tolist() == [0, 0, 0, 0]
    full[2:5, 3:8] = True
    assert tight_box(full).tolist() == [3, 2, 8, 5]
