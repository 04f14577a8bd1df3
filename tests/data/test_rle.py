"""The parser of COCO segmentations: right masks of small cases, and what must not reach pycocotools' C code."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from data import rle

SIZE = (3, 4)
SQUARE = ["....", ".##.", ".##."]


def picture(rows: list[str]) -> list[list[bool]]:
    return [[cell == "#" for cell in row] for row in rows]


@pytest.mark.parametrize(
    ("segmentation", "rows"),
    [
        ([[1, 1, 3, 1, 3, 3, 1, 3]], SQUARE),
        ([[1, 1, 3, 1, 3, 3, 1, 3], [1, 1, 2, 2], []], SQUARE),  # what has no third corner encloses nothing
        ([[0, 0, 1, 0, 1, 3, 0, 3], [3, 0, 4, 0, 4, 1, 3, 1]], ["#..#", "#...", "#..."]),
        ([[2, 2, 9, 2, 9, 9, 2, 9]], ["....", "....", "..##"]),  # over the border, within the tolerance
        ([[-8, -8, 1, -8, 1, 1, -8, 1]], ["#...", "....", "...."]),
        ({"size": [3, 4], "counts": [4, 2, 1, 2, 3]}, SQUARE),  # column by column, background first
        ({"size": [3, 4], "counts": [0, 3, 9]}, ["#...", "#...", "#..."]),
        ({"size": (3, 4), "counts": [12]}, ["....", "....", "...."]),
        ({"size": [3, 4], "counts": "42102"}, SQUARE),  # 4, 2, 1, 2 - 2, 3 - 1
        ({"size": [3, 4], "counts": "42102N"}, SQUARE),  # and a run of 0
        ({"size": [3, 4], "counts": b"42102"}, SQUARE),
        ({"size": [3, 4], "counts": "<"}, ["....", "....", "...."]),
    ],
)
def test_masks_by_hand(segmentation: Any, rows: list[str]) -> None:
    found = rle.from_coco(segmentation, SIZE)
    assert found is not None
    assert rle.decode(found).tolist() == picture(rows)


@pytest.mark.parametrize("segmentation", [None, [], [[1, 2, 3, 4]], [[]]])
def test_none_where_there_is_no_mask(segmentation: Any) -> None:
    assert rle.from_coco(segmentation, SIZE) is None


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_what_is_encoded_is_read_again(mask: np.ndarray) -> None:
    encoded = rle.encode(mask)
    found = rle.from_coco({"size": list(mask.shape), "counts": encoded["counts"].decode()}, mask.shape)
    assert found == encoded
    np.testing.assert_array_equal(rle.decode(found), mask)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)), st.integers(0, 4), st.integers(0, 4))
def test_columns_are_encoded_as_the_whole_mask_is(columns: np.ndarray, before: int, behind: int) -> None:
    full = np.pad(columns.T, ((0, 0), (before, behind)))
    assert rle.encode_columns(columns, before, full.shape) == rle.encode(full)
    nothing = np.zeros((0, full.shape[0]), bool)
    assert rle.encode_columns(nothing, before, full.shape) == rle.encode(np.zeros_like(full))


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ("42102", "segmentation: has to be"),
        ({"counts": [12]}, "segmentation: has to be"),
        ({"size": [4, 3], "counts": [12]}, r"segmentation.size: \[4, 3\]"),
        ({"size": 12, "counts": [12]}, "segmentation.size: 12"),
        ({"size": [3, 4], "counts": 12}, "segmentation.counts: 12 is neither"),
        ({"size": [3, 4], "counts": [4, 2]}, "segmentation.counts: .*sum"),
        ({"size": [3, 4], "counts": [13, -1]}, "segmentation.counts: .*whole numbers"),
        ({"size": [3, 4], "counts": [11, True]}, "segmentation.counts: .*whole numbers"),
        ({"size": [3, 4], "counts": [12.0]}, "segmentation.counts: .*whole numbers"),
        ({"size": [3, 4], "counts": []}, "segmentation.counts: .*sum"),
        ({"size": [3, 4], "counts": ""}, "segmentation.counts: .*compressed"),
        ({"size": [3, 4], "counts": "4210"}, "segmentation.counts: .*do not cover"),
        ({"size": [3, 4], "counts": "421022"}, "segmentation.counts: .*do not cover"),
        ({"size": [3, 4], "counts": "421O>"}, "segmentation.counts: .*do not cover"),
        ({"size": [3, 4], "counts": "l"}, "segmentation.counts: .*compressed"),  # more should follow
        ({"size": [3, 4], "counts": "4ü"}, "segmentation.counts: .*compressed"),
        ({"size": [3, 4], "counts": "P" * 40 + "0"}, "segmentation.counts: .*do not cover"),
        ([1, 1, 3, 1, 3, 3], "segmentation: a polygon is a list"),
        ([[1, 1, 3, 1, 3]], "segmentation: a polygon is a list"),
        ([[1, 1, 3, 1, "3", 3]], "segmentation: '3' is not a finite number"),
        ([[1, 1, 3, 1, None, 3]], "segmentation: None is not a finite number"),
        ([[1, 1, 3, 1, True, 3]], "segmentation: True is not a finite number"),
        ([[1, 1, 3, 1, float("nan"), 3]], "segmentation: nan is not a finite number"),
        ([[1, 1, 3, 1, 10**400, 3]], "segmentation: 1000.* is not a finite number"),
        ([[1, 1, 3, 1, 12.01, 3]], "segmentation: x 12.01 lies outside the image of 4 x 3"),
        ([[1, 1, 3, -1e300, 3, 3]], "segmentation: y -1e.300 lies outside"),
        ([[1, 11.5]], "segmentation: y 11.5 lies outside"),
    ],
)
def test_anything_else_is_refused_with_its_field(segmentation: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        rle.from_coco(segmentation, SIZE)


@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=12))
def test_no_text_decodes_to_anything_but_the_whole_image(text: str) -> None:
    try:
        found = rle.from_coco({"size": [3, 4], "counts": text}, SIZE)
    except ValueError:
        return
    assert found is not None and rle.decode(found).shape == SIZE
