"""COCO annotation files as tools export them: other folders, names, ids and sizes; lists without annotations."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from data.catalog import default_splits, load_images, splits_of
from data.errors import InputError
from data.names import relative
from data.truth_reader import load_truth
from tests.data.layouts import coco_content, write_coco, write_image

BOX = [2, 3, 10, 5]


def content(file_names: Sequence[str], **image: Any) -> dict[str, Any]:
    """Image k + 1 of 20 x 30 pixels for each name, with one object of category 0."""
    images = [{"id": k, "file_name": name, "height": 20, "width": 30} | image for k, name in enumerate(file_names, 1)]
    annotations = [{"id": k, "image_id": k, "category_id": 0, "bbox": BOX} for k, _ in enumerate(file_names, 1)]
    return {"images": images, "annotations": annotations, "categories": [{"id": 0, "name": "cat"}]}


def write(root: Path, annotation_file: str, value: Mapping[str, Any], files: Sequence[str] = ()) -> str:
    for name in files:
        write_image(root / name)
    path = root / annotation_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return f"coco:{root}"


@pytest.mark.parametrize(
    ("annotation_file", "split", "names", "files"),
    [
        ("annotations/instances_val.json", "val", ["a/1.jpg", "b/1.jpg"], ["val/a/1.jpg", "val/b/1.jpg"]),
        ("annotations/instances_val.json", "val", ["a\\1.jpg", ".\\b\\1.jpg"], ["val/a/1.jpg", "val/b/1.jpg"]),
        ("annotations/instances_val.json", "val", ["val/1.jpg"], ["val/1.jpg"]),
        ("annotations/instances_val.json", "val", ["val/1.jpg"], ["images/val/1.jpg"]),
        ("annotations/instances_default.json", "default", ["1.jpg"], ["images/1.jpg"]),  # CVAT
        ("annotations/instances_default.json", "default", ["1.jpg"], ["images/default/1.jpg"]),
        ("annotations/train.json", "train", ["1.jpg"], ["1.jpg"]),
        ("annotations/instances_val.json", "val", ["1.jpg"], ["val2017/1.jpg", "train2017/1.jpg"]),
        ("annotations/instances_val.json", "val", ["1.jpg"], ["Val/1.JPG"]),
        ("annotations/instances_val.json", "val", ["e\u0301.jpg"], ["val/\u00e9.jpg"]),
        ("valid/_annotations.coco.json", "valid", ["1.jpg"], ["valid/1.jpg", "train/1.jpg"]),  # Roboflow
        ("labels.json", "labels", ["1.jpg"], ["data/1.jpg"]),  # FiftyOne
        ("result.json", "result", ["images\\1.jpg"], ["images/1.jpg"]),  # Label Studio
        ("result.json", "result", ["../../files/upload/1.jpg"], ["images/1.jpg"]),
        ("annotations.json", "annotations", ["C:\\photos\\JPEGImages\\1.jpg"], ["JPEGImages/1.jpg"]),
        ("annotations.json", "annotations", ["/home/her/b/1.jpg"], ["x/b/1.jpg", "x/a/1.jpg"]),
    ],
)
def test_where_images_lie(
    tmp_path: Path, annotation_file: str, split: str, names: Sequence[str], files: Sequence[str]
) -> None:
    spec = write(tmp_path, annotation_file, content(names), files)
    assert splits_of(spec) == [split]
    images = load_images(spec, split)
    assert [r.path for r in images.records] == [str(tmp_path / name) for name in files[: len(names)]]
    assert [t.objects[0].box.tolist() for t in load_truth(spec, split)] == [[2, 3, 12, 8]] * len(names)


@pytest.mark.parametrize(
    ("names", "files", "message"),
    [
        (["a/1.jpg"], ["val/b/1.jpg"], "1 images of .* are missing: a/1.jpg"),
        (["1.jpg"], ["x/1.jpg", "y/1.jpg"], "image 1: file_name: '1.jpg' may be x/1.jpg or y/1.jpg"),
        (["a/1.jpg", "a\\1.jpg"], ["val/a/1.jpg"], r"'a.1.jpg' is .*/val/a/1.jpg, as is 'a/1.jpg' of image"),
        (["1.jpg", "1.jpg"], ["val/1.jpg"], "'1.jpg' is .*/val/1.jpg, as is '1.jpg' of image"),
        (["../1.jpg"], ["val/2.jpg"], "are missing: ../1.jpg"),
        ([7], ["val/7.jpg"], "image 1: file_name: 7 is not the name of a file"),
        ([""], ["val/7.jpg"], "image 1: file_name: '' is not the name of a file"),
    ],
)
def test_images_that_are_not_found(tmp_path: Path, names: Any, files: Sequence[str], message: str) -> None:
    spec = write(tmp_path, "annotations/instances_val.json", content(names), files)
    with pytest.raises(InputError, match=message):
        load_images(spec, "val")


def test_the_folder_of_the_annotations_is_not_the_data_set(tmp_path: Path) -> None:
    spec = write(tmp_path, "annotations/instances_val.json", content(["1.jpg"]), ["val/1.jpg"])
    with pytest.raises(InputError, match=f"are missing: .* or give the folder above, {spec}$"):
        load_images(f"{spec}/annotations", "instances_val")


def test_paths_of_other_systems() -> None:
    assert [relative(p) for p in ("a\\1.jpg", "./a//1.jpg", "/a/1.jpg", "C:\\a\\1.jpg")] == ["a/1.jpg"] * 4


@pytest.mark.parametrize("size", [{"height": None, "width": None}, {"height": 0, "width": 0}])
def test_a_size_that_is_not_stated_is_the_header_s(tmp_path: Path, size: dict[str, Any]) -> None:
    spec = write(tmp_path, "annotations/instances_val.json", content(["1.jpg"], **size))
    exif = Image.Exif()
    exif[0x0112] = 6
    write_image(tmp_path / "val" / "1.jpg", exif=exif)
    assert load_images(spec, "val").records[0].size == (20, 30)
    assert load_images(f"{spec}?exif=true", "val").records[0].size == (30, 20)
    (tmp_path / "val" / "1.jpg").write_bytes(b"")
    assert load_images(spec, "val").records[0].size == (0, 0)
    assert len(load_truth(spec, "val")[0].objects) == 1


@pytest.mark.parametrize("kind", [str, float, lambda number: f" {number} "])
@pytest.mark.parametrize("where", ["images", "annotations", "categories"])
def test_ids_may_be_written_in_any_way(tmp_path: Path, kind: Any, where: str) -> None:
    value = coco_content()
    for item in value[where]:
        for name in ("id", "image_id", "category_id"):
            if name in item:
                item[name] = kind(item[name])
    spec = write_coco(tmp_path, value)
    images = load_images(spec, "val2017")
    assert [(r.id, r.label) for r in images.records] == [("139", (0, 1)), ("9", ())]
    assert images.category_ids == (3, 90)
    assert [len(t.objects) for t in load_truth(spec, "val2017")] == [2, 0]


@pytest.mark.parametrize(
    ("where", "change", "message"),
    [
        ("images", {"id": None}, "image None cannot be read .id: None is neither text nor a whole number"),
        ("images", {"id": 1.5}, "image 1.5 cannot be read .id: 1.5 is neither"),
        ("images", {"id": True}, "image True cannot be read .id: True is neither"),
        ("images", {"id": [139]}, r"image \[139\] cannot be read .id: "),
        ("images", {"id": float("nan")}, "image nan cannot be read .id: "),
        ("images", {"id": "\ud800"}, "id: .* holds half a character"),
        ("images", {"height": "tall"}, "image 139: height: 'tall' is not a whole number"),
        ("images", {"height": 10**30}, "image 139: height, width: .* are not the size"),
        (
            "annotations",
            {"image_id": "x"},
            "unknown image 'x'; ids of the file's images look like '139', '9'",
        ),
        ("annotations", {"image_id": {}}, "annotation 1 of image {} cannot be read"),
        ("annotations", {"image_id": 1e400}, "image inf: image_id: inf is neither"),
        ("annotations", {"category_id": "cat"}, "category_id: 'cat' is not a whole number"),
        ("categories", {"id": "cat"}, "category 'cat' cannot be read .id: 'cat' is not a whole number"),
        ("categories", {"name": None}, "category 90 cannot be read .name: None is neither"),
    ],
)
def test_fields_that_can_not_be_read_are_named(
    tmp_path: Path, where: str, change: dict[str, Any], message: str
) -> None:
    value = coco_content()
    value[where][0].update(change)
    spec = write_coco(tmp_path, value)
    with pytest.raises(InputError, match=message):
        load_images(spec, "val2017")


@pytest.mark.parametrize("entry", [7, None, "x", [1]])
@pytest.mark.parametrize("where", ["images", "annotations", "categories"])
def test_an_entry_that_is_no_mapping(tmp_path: Path, where: str, entry: Any) -> None:
    value = coco_content()
    value[where].insert(1, entry)
    with pytest.raises(InputError, match=f"entry 1 .* of '{where}' is no mapping"):
        load_images(write_coco(tmp_path, value), "val2017")


def test_two_categories_of_one_name_stay_two(tmp_path: Path) -> None:
    value = coco_content()
    value["categories"] = [{"id": 3, "name": "helmet"}, {"id": 90, "name": "helmet"}]
    assert load_images(write_coco(tmp_path, value), "val2017").class_names == ("helmet", "helmet (90)")


def test_lists_of_test_images(tmp_path: Path) -> None:
    value = content(["1.jpg"])
    del value["annotations"]
    spec = write(tmp_path, "annotations/image_info_test.json", value, ["test/1.jpg"])
    images = load_images(spec, "test")
    assert images.class_names == ("cat",) and [r.label for r in images.records] == [()]
    with pytest.raises(InputError, match=r"image_info_test\.json: holds no annotations"):
        load_truth(spec, "test")


def test_which_annotation_files_are_splits(tmp_path: Path) -> None:
    names = ("instances_train", "image_info_train", "val", "captions_val", "person_keypoints_train", "image_info_test")
    for name in names:
        write(tmp_path, f"annotations/{name}.json", content(["1.jpg"]), ["train/1.jpg"])
    spec = f"coco:{tmp_path}"
    assert splits_of(spec) == ["test", "train", "val"]
    assert default_splits(spec) == ("train", "val")
    assert load_images(spec, "Train").records[0].path == str(tmp_path / "train" / "1.jpg")
