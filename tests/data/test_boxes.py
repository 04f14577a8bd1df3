"""Box arithmetic: hand-computed cases, torchvision as a reference, invariants."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchvision.ops import box_iou

from data.boxes import area, clip, paired_iou, pairwise_iou, xywh_to_xyxy, xyxy_to_xywh

BOXES = arrays(np.float32, st.tuples(st.integers(0, 6), st.just(4)), elements=st.integers(-50, 50).map(np.float32))


def test_iou_by_hand() -> None:
    a = np.array([[0, 0, 4, 4], [0, 0, 0, 0], [3, 3, 1, 1]], np.float32)
    b = np.array([[2, 0, 6, 4], [0, 0, 4, 4], [4, 4, 8, 8]], np.float32)
    np.testing.assert_allclose(pairwise_iou(a, b), [[8 / 24, 1, 0], [0, 0, 0], [0, 0, 0]])


def test_area_of_degenerate_boxes_is_zero() -> None:
    assert area(np.array([[0, 0, 2, 3], [5, 5, 5, 9], [4, 4, 2, 2]])).tolist() == [6, 0, 0]


def test_empty_inputs_keep_their_shapes() -> None:
    none = np.zeros((0, 4), np.float32)
    assert pairwise_iou(none, np.ones((3, 4))).shape == (0, 3)
    assert area(none).shape == (0,)
    assert clip(none, (4, 4)).shape == (0, 4)


@settings(max_examples=30, deadline=None)
@given(BOXES, BOXES)
def test_iou_equals_torchvision_on_proper_boxes(a: np.ndarray, b: np.ndarray) -> None:
    a, b = (np.concatenate([np.minimum(v[:, :2], v[:, 2:]), np.maximum(v[:, :2], v[:, 2:]) + 1], 1) for v in (a, b))
    expected = box_iou(torch.from_numpy(a).double(), torch.from_numpy(b).double()).numpy()
    np.testing.assert_allclose(pairwise_iou(a, b), expected, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(BOXES)
def test_xywh_round_trip_and_clip_is_idempotent(boxes: np.ndarray) -> None:
    np.testing.assert_array_equal(xywh_to_xyxy(xyxy_to_xywh(boxes)), boxes)
    once = clip(boxes, (20, 30))
    assert once.dtype == boxes.dtype
    np.testing.assert_array_equal(clip(once, (20, 30)), once)
    assert ((once >= 0) & (once <= [30, 20, 30, 20])).all()


def test_iou_is_computed_in_double_precision() -> None:
    wide = np.array([[0, 0, 1e5, 1e5]], np.float32)
    assert pairwise_iou(wide, wide - np.float32(0.5)).item() == pytest.approx(
        (1e5 - 0.5) ** 2 / (2e10 - (1e5 - 0.5) ** 2), rel=1e-12
    )


@settings(max_examples=30, deadline=None)
@given(BOXES, BOXES)
def test_paired_iou_is_the_diagonal_of_all_pairs(a: np.ndarray, b: np.ndarray) -> None:
    n = min(len(a), len(b))
    np.testing.assert_array_equal(paired_iou(a[:n], b[:n]), pairwise_iou(a[:n], b[:n]).diagonal())
