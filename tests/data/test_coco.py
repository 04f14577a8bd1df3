"""The COCO reader and its JSON stream."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data import json_stream, rle
from data.catalog import default_splits, load_images, splits_of
from data.errors import InputError
from data.json_stream import top_level
from data.truth_reader import load_truth
from tests.data.layouts import coco_content, write_coco, write_image


def test_records(tmp_path: Path) -> None:
    spec = write_coco(tmp_path, coco_content())
    images = load_images(spec, "val2017")
    assert images.class_names == ("car", "toothbrush")
    assert images.category_ids == (3, 90)
    assert [r.id for r in images.records] == ["139", "9"]
    assert [r.label for r in images.records] == [(0, 1), ()]
    assert images.records[0].size == (20, 30)
    assert images.records[0].path == str(tmp_path / "val2017" / "000000000139.jpg")


def test_the_usual_splits_of_2014_are_the_whole_ones(tmp_path: Path) -> None:
    for split in ("train2014", "val2014", "minival2014", "valminusminival2014"):
        spec = write_coco(tmp_path, coco_content(), split)
    assert default_splits(spec) == ("train2014", "val2014")


def test_splits(tmp_path: Path) -> None:
    spec = write_coco(tmp_path, coco_content())
    with pytest.raises(InputError, match="no train or no val split"):
        default_splits(spec)
    write_coco(tmp_path, coco_content(), "train2017")
    assert splits_of(spec) == ["train2017", "val2017"]
    assert default_splits(spec) == ("train2017", "val2017")
    with pytest.raises(InputError, match="did you mean 'val2017'"):
        load_images(spec, "val")
    with pytest.raises(InputError, match=r"instances_<split>\.json: no such file"):
        splits_of(f"coco:{tmp_path / 'val2017'}")


def test_a_list_without_folder_of_its_own(tmp_path: Path) -> None:
    content = coco_content()
    for item in content["images"]:
        item["file_name"] = f"COCO_val2014_{item['id']:012d}.jpg"
        write_image(tmp_path / "images" / "val2014" / item["file_name"])
    write_coco(tmp_path, content, "minival")
    assert load_images(f"coco:{tmp_path}", "minival").records[1].path.endswith("val2014/COCO_val2014_000000000009.jpg")


def test_truth(tmp_path: Path) -> None:
    both = load_truth(write_coco(tmp_path, coco_content()), "val2017")
    assert [t.id for t in both] == ["139", "9"]
    brush, crowd = both[0].objects
    assert brush.box.tolist() == [2.5, 3, 12.5, 8]
    assert brush.area == 50 and not brush.crowd and crowd.crowd
    assert brush.mask is not None and crowd.mask is not None
    assert rle.decode(brush.mask).sum() == pytest.approx(50, abs=5)
    expected = np.zeros((20, 30), bool)
    expected[:, 0] = True
    np.testing.assert_array_equal(rle.decode(crowd.mask), expected)
    assert both[1].objects == () and both[1].has_masks


def _broken(what: str) -> dict[str, Any] | str:
    content = coco_content()
    if what == "cut":
        return json.dumps(content)[:-200]
    if what == "list":
        return "[]"
    if what == "garbage":
        return json.dumps(content).replace('"images"', "'images'")
    if what == "twice":
        content["images"].append(content["images"][0])
    elif what == "image":
        content["annotations"][0]["image_id"] = 7
    elif what == "category":
        content["annotations"][0]["category_id"] = 7
    elif what == "key":
        del content["annotations"][1]["category_id"]
    elif what == "size":
        content["images"][0]["height"] = -20
    elif what == "captions":
        del content["categories"]
    elif what == "file":
        content["images"][0]["file_name"] = "absent.jpg"
    return content


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("cut", "broken JSON"),
        ("list", r"broken JSON, expected '\{'"),
        ("garbage", "broken JSON"),
        ("twice", "image id 139 is used twice"),
        ("image", "names the unknown image 7"),
        ("category", "unknown category 7"),
        ("key", "an entry of 'annotations' lacks 'category_id'"),
        ("size", "image 139: height, width: -20 and 30 are not the size of an image"),
        ("captions", "no 'categories' in it; a file of COCO has both"),
        ("file", r"1 images of .* are missing: absent.jpg"),
    ],
)
def test_contradictions_name_the_file(tmp_path: Path, what: str, message: str) -> None:
    spec = write_coco(tmp_path, _broken(what))
    with pytest.raises(InputError, match=message) as error:
        load_images(spec, "val2017")
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [1, 2]}, "annotation 1 of image 139 cannot be read"),
        ({"bbox": [1, 2, 3, float("inf")]}, r"annotation 1 of image 139 .*bbox: inf is not a finite number"),
        ({"area": 10**400}, "annotation 1 of image 139 cannot be read"),
        ({"segmentation": {"size": [3, 3], "counts": [9]}}, r"segmentation.size: \[3, 3\] is not the image's"),
        ({"segmentation": {"size": [20, 30], "counts": [9]}}, "whose sum is height x width"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "a polygon is a list"),
        ({"segmentation": {"size": [20, 30], "counts": "0l1"}}, "runs do not cover height x width"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "nan is not a finite number"),
        ({"segmentation": [[1, 2, 3, 4, True, 6]]}, "True is not a finite number"),
        ({"id": 2}, "annotation 2 of image 139 cannot be read .id: another annotation has it"),
        ({"id": "2"}, "annotation 2 of image 139 cannot be read .id: another annotation has it"),
        (
            {"bbox": [12, 3, 22, 8], "segmentation": [[12, 3, 22, 3, 22, 8, 12, 8]]},
            "bbox: .* is the mask's x0, y0, x1, y1; COCO's order is",
        ),
        ({"bbox": [20, 3, 5, 5]}, r"does not touch its own mask, which spans"),
        ({"segmentation": [[0, 0, 1e9, 0, 5, 5]]}, "x 1e.09 lies outside the image of 30 x 20"),
        ({"segmentation": [[0, 0, 5, -9, 5, 5]]}, "y -9 lies outside"),
    ],
)
def test_truth_errors_name_the_annotation(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    content = coco_content()
    content["annotations"][0].update(change)
    spec = write_coco(tmp_path, content)
    with pytest.raises(InputError, match=message):
        load_truth(spec, "val2017")


@pytest.mark.parametrize("block", [1, 2, 7, 64, 1 << 20])
@pytest.mark.parametrize("polygons", [True, False])
def test_the_stream_equals_the_whole(block: int, polygons: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", block)
    content = coco_content() | {"ä": "ö é 漢", "version": 12345, "empty": [], "nested": {"a": [1, [2]]}, "last": 1.5e3}
    for text in (json.dumps(content), json.dumps(content, indent=2, ensure_ascii=False)):
        collected: dict[str, Any] = {key: [] for key in content if isinstance(content[key], list)}
        for key, value in top_level(io.BytesIO(text.encode()), "file", polygons=polygons):
            if key in collected:
                collected[key].append(value)
            else:
                collected[key] = value
        expected = json.loads(json.dumps(content))
        if not polygons:
            expected["annotations"][0]["segmentation"] = None
        assert collected == expected


@pytest.mark.parametrize(
    ("change", "box", "has_box"),
    [
        ({"bbox": [2.5, 3, 10, 5]}, [2.5, 3, 12.5, 8], True),
        ({"bbox": []}, [2, 3, 12, 8], True),  # that of the mask
        ({"bbox": None}, [2, 3, 12, 8], True),
        ({"bbox": [3, 3, 0, 5]}, [3, 3, 3, 8], False),  # COCO's own files hold some: the mask alone counts
        ({"bbox": [-3, -2, 40, 30]}, [-3, -2, 37, 28], True),  # amodal, over the border
        ({"segmentation": [[[2, 3], [12, 3], [12, 8], [2, 8]]]}, [2.5, 3, 12.5, 8], True),
        ({"segmentation": [[2, 3], [12, 3], [12, 8], [2, 8]]}, [2.5, 3, 12.5, 8], True),
    ],
)
def test_boxes_of_the_truth(tmp_path: Path, change: dict[str, Any], box: list[float], has_box: bool) -> None:
    content = coco_content()
    content["annotations"][0] |= {"segmentation": [[2, 3, 12, 3, 12, 8, 2, 8]]} | change
    found = load_truth(write_coco(tmp_path, content), "val2017")[0].objects[0]
    assert (found.box.tolist(), found.has_box) == (box, has_box)
    assert found.mask is not None and rle.decode(found.mask).sum() == 50


@pytest.mark.parametrize(
    ("bbox", "message"),
    [
        ([3, 3, 0, 5], "encloses nothing"),
        ([40, 3, 5, 5], "lies outside the image of 30 x 20"),
        ([1e308, 3, 1e308, 5], "is too large"),
        ([3, 3, -4, 5], "negative width"),
        ([3, 3, float("nan"), 5], "nan is not a finite number"),
        ("3 3 4 5", "is not .x, y"),
        (None, "None is not .x, y"),
    ],
)
def test_boxes_that_are_none_name_the_annotation(tmp_path: Path, bbox: Any, message: str) -> None:
    content = coco_content()
    content["annotations"][0] |= {"segmentation": None, "bbox": bbox}
    with pytest.raises(InputError, match=f"annotation 1 of image 139 cannot be read .bbox: .*{message}"):
        load_truth(write_coco(tmp_path, content), "val2017")
