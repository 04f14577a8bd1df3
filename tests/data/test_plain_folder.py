"""The reader of plain folders: the columns of labels.csv, EXIF, object stores, and everything that can be wrong."""

from pathlib import Path

import fsspec
import pytest
from PIL import Image

from data.catalog import default_splits, load_images, splits_of
from data.errors import InputError
from data.truth_reader import load_truth
from tests.data.layouts import write_folder


def test_records(tmp_path: Path) -> None:
    spec = write_folder(
        tmp_path, "image,labels\nb/x.jpg,dog;red cat\na.jpg,dog\nn.jpg,\n", ["b/x.jpg", "a.jpg", "n.jpg"]
    )
    images = load_images(spec, "all")
    assert images.class_names == ("dog", "red cat")
    assert [(r.id, r.label) for r in images.records] == [("b/x", (0, 1)), ("a", (0,)), ("n", ())]
    assert images.records[0].path == str(tmp_path / "images" / "b" / "x.jpg")
    assert images.exif and images.records[0].size == (20, 30)
    assert default_splits(spec) == ("all", "all")


def test_labels_separated_by_spaces_and_names_with_spaces(tmp_path: Path) -> None:
    spec = write_folder(tmp_path, "\ufeffImage,Labels\nimages/a.jpg,cat dog\nb.jpg,traffic light\n", ["a.jpg", "b.jpg"])
    assert load_images(spec, "all").class_names == ("cat", "dog", "light", "traffic")
    (tmp_path / "classes.txt").write_text("traffic light\ndog\ncat\n")
    images = load_images(spec, "all")
    assert [r.label for r in images.records] == [(1, 2), (0,)]


def test_split_column(tmp_path: Path) -> None:
    csv = "image,labels,split\na.jpg,cat,train\nb.jpg,dog,val\nc.jpg,cat,train\n"
    spec = write_folder(tmp_path, csv, ["a.jpg", "b.jpg", "c.jpg"])
    assert splits_of(spec) == ["train", "val", "all"]
    assert default_splits(spec) == ("train", "val")
    assert [r.id for r in load_images(spec, "train").records] == ["a", "c"]
    assert load_images(spec, "val").class_names == ("cat", "dog")  # the same classes in every split
    assert len(load_images(spec, "all")) == 3


def test_images_beside_the_list_and_other_files(tmp_path: Path) -> None:
    spec = write_folder(tmp_path, "image,labels\na.jpg,cat\n", ["a.jpg", "other.png"])
    for name in ("a.jpg", "other.png"):
        (tmp_path / "images" / name).rename(tmp_path / name)
    (tmp_path / "images").rmdir()
    assert load_images(spec, "all").records[0].id == "a"


def test_exif_rotation_is_in_the_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    spec = write_folder(tmp_path, "image,labels\na.jpg,cat\n", ["a.jpg"], exif=exif)
    assert load_images(spec, "all").records[0].size == (30, 20)


def test_a_broken_image_is_listed_with_size_zero(tmp_path: Path) -> None:
    spec = write_folder(tmp_path, "image,labels\na.jpg,cat\n", ["a.jpg"])
    (tmp_path / "images" / "a.jpg").write_bytes(b"nonsense")
    assert load_images(spec, "all").records[0].size == (0, 0)


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("", "the first line is 'nothing'"),
        ("file,classes\na.jpg,cat\n", "the first line is 'file,classes'; it must be image,labels"),
        ("image,labels\n", "no images listed"),
        ("image,labels\na.jpg,cat,dog\n", "line 2: 3 fields, the header has 2; separate labels with ';'"),
        ("image,labels\na.jpg\n", "line 2: 1 fields"),
        ("image,labels\n\nabsent.jpg,cat\n", "line 3: no image .*absent.jpg"),
        ("image,labels\na.jpg,cat\na.jpg,dog\n", "line 3: image 'a' is already on line 2"),
        ("image,labels\na.jpg,cat\na.png,cat\nb.jpg,cat\n", "line 3: image 'a' is already on line 2"),
        ("image,labels\na.jpg,cat\n", r"2 images of .*images are not listed: a.png, b.jpg"),
        ("image,labels\na.jpg,\na.png,\nb.jpg,\n", "no image has a label|already on line"),
        ("image,labels,split\na.jpg,cat,\n", "line 2: the split is empty"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, csv: str, message: str) -> None:
    spec = write_folder(tmp_path, csv, ["a.jpg", "a.png", "b.jpg"])
    with pytest.raises(InputError, match=message) as error:
        load_images(spec, "all")
    assert "labels.csv" in str(error.value)


def test_unknown_label_split_and_missing_list(tmp_path: Path) -> None:
    spec = write_folder(tmp_path, "image,labels\na.jpg,catt\n", ["a.jpg"])
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    with pytest.raises(InputError, match=r"line 2: label 'catt' is not in classes.txt; did you mean 'cat'"):
        load_images(spec, "all")
    with pytest.raises(InputError, match="no split 'train'"):
        load_images(spec, "train")
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(InputError, match=r"labels\.csv: no such file"):
        load_images(spec, "all")


def test_no_truth(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ground truth"):
        load_truth(write_folder(tmp_path, "image,labels\na.jpg,cat\n", ["a.jpg"]), "all")


def test_an_object_store(tmp_path: Path) -> None:
    write_folder(tmp_path, "image,labels\nb/a.jpg,cat\n", ["b/a.jpg"])
    fsspec.filesystem("memory").put(str(tmp_path), "/bucket/set", recursive=True)
    images = load_images("folder:memory://bucket/set", "all")
    assert images.records[0].path == "memory://bucket/set/images/b/a.jpg"
    assert images.records[0].size == (20, 30)
