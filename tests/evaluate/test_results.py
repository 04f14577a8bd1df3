"""COCO results files: what is written is read again, what is wrong is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import rle
from data.errors import InputError
from data.masks import paste
from pdsl.evaluate.predictions import Prediction, box_mask, fill_boxes, paste_probability
from pdsl.evaluate.results import from_coco, read_results, to_coco
from tests.evaluate.makers import SIZE, detection, image_list

IMAGES = image_list(["139", "285"])
GOOD: dict[str, Any] = {"image_id": 139, "category_id": 17, "score": 0.5, "bbox": [10, 20, 30, 40]}


def test_round_trip_keeps_ids_boxes_and_masks(tmp_path: Path) -> None:
    before = [detection("139", 1, 0.25, (10, 20, 40.5, 60)), detection("285", 0, 0.75, (0, 0, 5, 5))]
    rows = to_coco(before, IMAGES)
    assert rows[0]["image_id"] == 139 and rows[0]["category_id"] == 17 and rows[0]["bbox"] == [10, 20, 30.5, 40]
    file = tmp_path / "results.json"
    file.write_text(json.dumps(rows))
    for old, new in zip(before, read_results(file, IMAGES), strict=True):
        assert (old.image_id, old.class_id, old.score, old.mask) == (new.image_id, new.class_id, new.score, new.mask)
        assert new.box == pytest.approx(old.box)


def test_voc_ids_stay_text() -> None:
    images = image_list(["000012", "100001"])
    rows = to_coco([detection("100001", 0, 0.5, (0, 0, 5, 5))], images)
    assert rows[0]["image_id"] == "100001"
    assert from_coco(rows, images, "rows")[0].image_id == "100001"


def test_polygons_numbers_and_text_give_the_same_mask() -> None:
    polygon = {**GOOD, "segmentation": [[10, 20, 40, 20, 40, 60, 10, 60]]}
    mask = from_coco([polygon], IMAGES, "rows")[0].mask
    assert mask == box_mask(np.array([10, 20, 40, 60]), SIZE)
    flat = rle.decode(mask).T.ravel()  # column by column
    runs = np.diff(np.flatnonzero(np.diff(flat, prepend=~flat[:1])), append=flat.size).tolist()
    numbers = {**GOOD, "segmentation": {"size": list(SIZE), "counts": runs}}
    assert from_coco([numbers], IMAGES, "rows")[0].mask == mask


def test_a_class_may_be_named_however_it_is_spelled() -> None:
    assert [
        p.class_id for p in from_coco([{**GOOD, "category_name": name} for name in ("dog", " D-og")], IMAGES, "rows")
    ] == [1, 1]


def test_a_missing_box_is_taken_from_the_mask() -> None:
    row = {"image_id": 139, "category_id": 3, "score": 1, "segmentation": [[10, 20, 40, 20, 40, 60, 10, 60]]}
    assert from_coco([row], IMAGES, "rows")[0].box.tolist() == [10, 20, 40, 60]


def test_an_empty_box_beside_a_mask_and_a_byte_order_mark_are_taken(tmp_path: Path) -> None:
    row = {**GOOD, "bbox": [], "segmentation": [[10, 20, 40, 20, 40, 60, 10, 60]]}
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "r.json").write_text(json.dumps([row]), encoding=encoding)
        assert read_results(tmp_path / "r.json", IMAGES)[0].box.tolist() == [10, 20, 40, 60]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": []}, "bbox: [] is not"),
        ({"image_id": 7}, "image_id: 7 is not an image of coco:here val, whose ids look like '139'"),
        ({"category_id": 0}, "category_id: 0 is not a class"),
        ({"category_id": "dog"}, "category_id: 'dog'"),
        ({"category_id": True}, "category_id: True"),
        (
            {"category_name": "person"},
            "category_id: 17 is 'dog' in coco:here val and 'person' in this row: ids of another",
        ),
        ({"image_id": 139.5}, "image_id: 139.5 is not an image"),
        ({"image_id": [139]}, "image_id: [139] is not an image"),
        ({"score": "high"}, "score: 'high' is not a finite number"),
        ({"score": float("nan")}, "score: nan"),
        ({"score": 10**400}, "is not a finite number"),
        ({"bbox": [1, 2, 3]}, "bbox:"),
        ({"bbox": [10, 20, -3, 4]}, "negative width"),
        ({"bbox": None}, "bbox and segmentation: both are missing"),
        ({"segmentation": [[1, 2, 3]]}, "polygon"),
        ({"segmentation": [[1, 2, 3, 4, 5, "six"]]}, "segmentation: 'six'"),
        ({"segmentation": {"counts": "abc"}}, "'size' and 'counts'"),
        ({"segmentation": {"size": [7, 7], "counts": "abc"}}, "segmentation.size"),
        ({"segmentation": {"size": list(SIZE), "counts": [1, 2]}}, "sum is height x width"),
        ({"segmentation": {"size": list(SIZE), "counts": "0"}}, "do not cover"),
        ({"segmentation": {"size": list(SIZE), "counts": "PPPP"}}, "compressed RLE"),
        ({"segmentation": {"size": list(SIZE), "counts": "\x01"}}, "compressed RLE"),
        ({"segmentation": {"size": list(SIZE), "counts": "o" * 30 + "0"}}, "do not cover"),
    ],
)
def test_errors_name_row_and_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=r"file\.json: row 1 ") as error:
        from_coco([GOOD, {**GOOD, **change}], IMAGES, "file.json")
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["image_id", "category_id", "score"])
def test_missing_fields(name: str) -> None:
    with pytest.raises(InputError, match=f"row 0 .*{name}: is missing"):
        from_coco([{key: value for key, value in GOOD.items() if key != name}], IMAGES, "f")


def test_some_rows_with_and_some_without_masks() -> None:
    with pytest.raises(InputError, match="row 0: no segmentation"):
        from_coco([GOOD, {**GOOD, "segmentation": [[10, 20, 40, 20, 40, 60]]}], IMAGES, "f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("9" * 5000, "is not JSON"),
        ('{"annotations": []}', "'annotations' alone"),
        ("3", "has to be a list"),
        ("[1]", "row 0"),
        ("[" * 100_000, "nested too deeply"),
        ("[" + "9" * 5000 + "]", "is not JSON"),
    ],
)
def test_files_that_are_no_results(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_results(file, IMAGES)


def test_a_missing_file() -> None:
    with pytest.raises(InputError, match=r"nowhere\.json: can not be read"):
        read_results("nowhere.json", IMAGES)


_pair = st.tuples(*[st.floats(-30, 150, allow_nan=False)] * 2)


@settings(max_examples=60, deadline=None)
@given(_pair, st.tuples(st.floats(0, 90), st.floats(0, 90)), st.integers(1, 6), st.integers(0, 99))
def test_pasting_follows_pixel_centres(
    corner: tuple[float, float], side: tuple[float, float], m: int, seed: int
) -> None:
    """A constant map fills exactly the pixels whose centre lies in the box; any map stays within them."""
    box = np.array([*corner, corner[0] + side[0], corner[1] + side[1]])
    ys, xs = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    inside = (xs >= box[0]) & (xs < box[2]) & (ys >= box[1]) & (ys < box[3])
    assert (rle.decode(box_mask(box, SIZE)) == inside).all()
    probability = np.random.default_rng(seed).random((m, m))
    assert not (rle.decode(paste_probability(probability, box, SIZE, 0.5)) & ~inside).any()


def plainly_pasted(mask: np.ndarray, box: np.ndarray, threshold: float) -> np.ndarray:
    """(H, W) bool, pixel by pixel."""
    full = np.zeros(SIZE, bool)
    for y, x in np.ndindex(SIZE):
        cells = []
        for place, low, high, n in ((y + 0.5, box[1], box[3], len(mask)), (x + 0.5, box[0], box[2], mask.shape[1])):
            position = np.clip((place - low) / max(high - low, 1e-6) * n - 0.5, 0, n - 1)
            cell = int(position)
            cells.append((cell, min(cell + 1, n - 1), position - cell, low <= place < high))
        (top, bottom, down, in_rows), (left, right, across, in_columns) = cells
        near = mask[top, left] * (1 - down) + mask[bottom, left] * down
        far = mask[top, right] * (1 - down) + mask[bottom, right] * down
        full[y, x] = in_rows and in_columns and near * (1 - across) + far * across >= threshold
    return full


@settings(max_examples=25, deadline=None)
@given(_pair, st.tuples(st.floats(0, 90), st.floats(0, 90)), st.integers(1, 6), st.integers(0, 99))
def test_pasting_is_the_plain_way_to_the_byte(
    corner: tuple[float, float], side: tuple[float, float], m: int, seed: int
) -> None:
    box = np.array([*corner, corner[0] + side[0], corner[1] + side[1]])
    mask = np.random.default_rng(seed).random((m, m), np.float32)
    for threshold in (0.5, float(mask[0, 0])):
        assert paste_probability(mask, box, SIZE, threshold) == rle.encode(plainly_pasted(mask, box, threshold))


def test_pasting_agrees_with_the_nearest_cell_where_pixels_are_cell_centres() -> None:
    mask = np.random.default_rng(0).random((28, 28)) > 0.5
    box = np.array([5, 7, 33, 35])
    assert (rle.decode(paste_probability(mask.astype(float), box, SIZE, 0.5)) == paste(mask, box, SIZE)).all()


def test_pasting_interpolates_between_cells() -> None:
    """Two cells, 0 and 1, over 8 pixels: the probability crosses 0.5 in the middle."""
    found = rle.decode(paste_probability(np.array([[0.0, 1.0]]), np.array([0, 0, 8, 1]), SIZE, 0.5))
    assert found[0, :9].tolist() == [False] * 4 + [True] * 4 + [False]


def test_filled_boxes() -> None:
    thin = Prediction("139", 0, 0.5, np.array([10, 10, 20, 20]), box_mask(np.array([10, 10, 12, 12]), SIZE))
    assert rle.decode(fill_boxes([thin], {"139": SIZE})[0].mask).sum() == 100


@pytest.mark.parametrize("kind", [int, float, str])
def test_ids_in_any_writing_are_those_of_the_annotations(kind: Callable[[int], object]) -> None:
    row = {**GOOD, "image_id": kind(139), "category_id": kind(17)}
    (found,) = from_coco([row], image_list(["139"]), "rows")
    assert (found.image_id, found.class_id) == ("139", 1)
