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
    images = load_images(spec, "all")
    assert images.class_names == ("cat", "dog", "light", "traffic")
    assert "blanks separate labels: line 2 is read as cat, dog; for names that hold blanks" in images.notes[0]
    (tmp_path / "classes.txt").write_text("traffic light\ndog\ncat\n")
    images = load_images(spec, "all")
    assert [r.label for r in images.records] == [(1, 2), (0,)] and not images.notes


@pytest.mark.parametrize("cell", ["", "[]", "set()", "{}", '"[]"'])
def test_cells_without_labels(tmp_path: Path, cell: str) -> None:
    spec = write_folder(tmp_path, f"image,labels\na.jpg,dog\nb.jpg,{cell}\n", ["a.jpg", "b.jpg"])
    assert [r.label for r in load_images(spec, "all").records] == [(0,), ()]


def test_split_column(tmp_path: Path) -> None:
    csv = "image,labels,split\na.jpg,cat,train\nb.jpg,dog,val\nc.jpg,cat,train\n"
    spec = write_folder(tmp_path, csv, ["a.jpg", "b.jpg", "c.jpg"])
    assert splits_of(spec) == ["train", "val", "all"]
    assert default_splits(spec) == ("train", "val")
    assert [r.id for r in load_images(spec, "train").records] == ["a", "c"]
    assert load_images(spec, "val").class_names == ("cat", "dog")  # the same classes in every split
    assert len(load_images(spec, "all")) == 3


def test_a_share_of_the_images_is_for_evaluation(tmp_path: Path) -> None:
    """An image keeps its side when others come; the sides are all of it."""
    names = [f"{number:03}.jpg" for number in range(60)]
    spec = write_folder(tmp_path, "image,labels\n" + "".join(f"{name},cat\n" for name in names), names)
    assert sorted(splits_of(f"{spec}?val=0.25")) == ["all", "train", "val"]
    assert default_splits(f"{spec}?val=0.25") == ("train", "val")
    sides = {side: {r.id for r in load_images(f"{spec}?val=0.25", side).records} for side in ("train", "val")}
    assert 7 <= len(sides["val"]) <= 24 and sides["train"] | sides["val"] == {name[:3] for name in names}
    assert not sides["train"] & sides["val"]
    (tmp_path / "labels.csv").write_text("image,labels\n" + "".join(f"images/{n},cat\n" for n in names[::2]))
    fewer = {r.id for r in load_images(f"{spec}?val=0.25", "val").records}
    assert fewer == sides["val"] & {name[:3] for name in names[::2]}


def test_a_list_of_images_for_evaluation(tmp_path: Path) -> None:
    spec = write_folder(tmp_path, "image,labels\nb/x.jpg,dog\na.jpg,cat\nc.jpg,cat\n", ["b/x.jpg", "a.jpg", "c.jpg"])
    (tmp_path / "held.txt").write_text("b/x\n\nimages/c.jpg\n")
    assert [r.id for r in load_images(f"{spec}?val=held.txt", "val").records] == ["b/x", "c"]
    assert [r.id for r in load_images(f"{spec}?val=held.txt", "train").records] == ["a"]
    both = load_images(f"{spec}?val=held.txt", "train+val")
    assert [r.id for r in both.records] == ["a", "b/x", "c"] and both.split == "train+val"


@pytest.mark.parametrize(
    ("csv", "val", "listed", "message"),
    [
        ("image,labels,split\na.jpg,cat,train\nb.jpg,cat,val\n", "0.5", "", r"has a column split \(line 2\)"),
        ("image,labels\na.jpg,cat\nb.jpg,cat\n", "1.5", "", "a share of the images lies between 0 and 1"),
        ("image,labels\na.jpg,cat\nb.jpg,cat\n", "none.txt", "", r"none.txt: no such file; .*\?val=0.2"),
        ("image,labels\na.jpg,cat\nb.jpg,cat\n", "v.txt", "a\nbb", "v.txt: not in labels.csv: bb; did you mean 'b'"),
        ("image,labels\na.jpg,cat\nb.jpg,cat\n", "v.txt", "a\nb", "leaves training without images"),
        ("image,labels\na.jpg,cat\nb.jpg,cat\n", "0.0001", "", "leaves evaluation without images"),
    ],
)
def test_what_can_be_wrong_with_them(tmp_path: Path, csv: str, val: str, listed: str, message: str) -> None:
    spec = write_folder(tmp_path, csv, ["a.jpg", "b.jpg"])
    (tmp_path / "v.txt").write_text(listed)
    with pytest.raises(InputError, match=message):
        load_images(f"{spec}?val={val}", "train")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("training", "validation"), ("training", "validation")),
        (("Train", "Valid"), ("Train", "Valid")),
        (("train", "test"), ("train", "test")),
        (("train", "dev"), ("train", "dev")),
        (("train", "mine"), ("all", "all")),
    ],
)
def test_usual_splits_by_any_spelling(tmp_path: Path, names: tuple[str, str], expected: tuple[str, str]) -> None:
    csv = f"image,labels,split\na.jpg,cat,{names[0]}\nb.jpg,dog,{names[1]}\n"
    assert default_splits(write_folder(tmp_path, csv, ["a.jpg", "b.jpg"])) == expected


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
        ("image,labels\na.jpg,\na.png,\nb.jpg,\n", "no image has a label|already on line"),
        ("image,labels,split\na.jpg,cat,\n", "line 2: the split is empty"),
        ("image,labels\n,cat\n", "line 2: the image is empty"),
        ("image,labels\na,cat\n", r"line 2: no image .*images/a; which is it, a.jpg or a.png\?"),
        ("image,labels\nc.jpg,cat\n", r"line 2: no image .*images/c.jpg; which is it, sub/c.jpg\?"),
        ("image,labels\na.jpg,cat\na.png,cat\n", "line 3: image 'a' is already on line 2; as a.jpg: rename one"),
        ("image,labels\na.jpg,Dog\nb.jpg,dog\n", r"labels 'Dog' \(line 2\) and 'dog' \(line 3\) differ only in case"),
        ("image,labels\na.jpg,red cat;x\nb.jpg,redcat;x\n", "differ only in case, blanks or hyphens"),
        ("image,labels\na.jpg,red_cat;x\nb.jpg,red-cat;x\n", "differ only in case, blanks or hyphens"),
        ("image,labels\na.jpg,1.0\nb.jpg,1;2\n", r"labels '1.0' \(line 2\) and '1' \(line 3\) differ"),
        ("image,labels\na.jpg,red cat\nb.jpg,redcat\n", "line 2: is 'red cat' the class 'redcat', or several"),
        ("image,labels\na.jpg,cat & dog\nb.jpg,dog\n", "line 2: label '&' is not the name of a class"),
        ('image,labels\na.jpg,"{""cat"": 1}"\nb.jpg,dog\n', "line 2: label '{\"cat\": 1}' is not the name of a class"),
        ('image,labels\na.jpg,"[""cat"", ""dog"\nb.jpg,dog\n', "line 2: label '\\[\"cat\"' is not the name of a class"),
        ("image,labels\na.jpg,-\nb.jpg,dog\n", "line 2: label '-' is not the name of a class"),
        ("image,labels\na.jpg,a\x07\nb.jpg,dog\n", r"line 2: label 'a\\x07' is not the name of a class"),
        ("image,labels\na.jpg,c\0\nb.jpg,dog\n", "holds zero bytes, as UTF-16 without its mark does; save it"),
        *(
            (f"image,labels\na.jpg,cat;x\nb.jpg,cat{joint}x\n", "line 3: .*separates labels with")
            for joint in ("/", " + ", "&", ":", "-", "_", "\N{FULLWIDTH COMMA}", "、", "\N{FULLWIDTH SEMICOLON}")
        ),
        ("image,labels\na.jpg,cat\nb.jpg,nan\n", "line 3: label 'nan' looks like a missing value"),
        ('image,labels\na.jpg,cat;dog\nb.jpg,"dog,cat"\n', "line 3: 'dog,cat' separates labels with ','"),
        ("image,labels,split\na.jpg,cat,Train\nb.jpg,cat,train\n", r"splits 'Train' \(line 2\) and 'train'"),
        ('image,labels\na.jpg,"cat\nb.jpg,dog\n', "ends on line 3 goes over several lines; close its quote"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, csv: str, message: str) -> None:
    spec = write_folder(tmp_path, csv, ["a.jpg", "a.png", "b.jpg", "sub/c.jpg"])
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


@pytest.mark.parametrize(
    "csv",
    [
        "image,labels\na.jpg,red cat;dog\nb.jpg,dog\n",
        'image,labels\na.jpg,"red cat,dog"\nb.jpg,dog\n',
        'image,labels\na.jpg,"dog, red  cat"\nb.jpg,dog\n',
        "image,labels\na.jpg,red cat|dog\nb.jpg,dog\n",
        "image,labels\na.jpg,red cat\tdog\nb.jpg,dog\n",
        'image,labels\na.jpg,"[""red cat"", ""dog""]"\nb.jpg,"[""dog""]"\n',
        "image,labels\na.jpg,\"['red cat', 'dog']\"\nb.jpg,['dog']\n",
        "image,labels\na.jpg,['red cat' 'dog']\nb.jpg,dog\n",  # numpy's
        'image,labels\na.jpg,"[red cat, dog]"\nb.jpg,[dog]\n',
        "image;labels\na.jpg;red cat,dog\nb.jpg;dog\n",
        "image,labels,,\na.jpg,red cat;dog,\nb.jpg,dog\n",  # empty columns of a spreadsheet
        'image;labels\na.jpg;"red cat;dog"\nb.jpg;dog\n',
        "sep=;\nimage;labels\na.jpg;red cat,dog\nb.jpg;dog\n",
        "image\tlabels\na.jpg\tred cat;dog\nb.jpg\tdog\n",
        "image|labels\na.jpg|red cat;dog\nb.jpg|dog\n",
        '\r\n"Image","Labels"\r\n"a.jpg","red\u00a0cat;dog"\r\n"b.jpg","dog"\r\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_of_columns_and_labels(tmp_path: Path, csv: str, encoding: str) -> None:
    spec = write_folder(tmp_path, "", ["a.jpg", "b.jpg"])
    (tmp_path / "labels.csv").write_bytes(csv.encode(encoding))
    images = load_images(spec, "all")
    assert images.class_names == ("dog", "red cat")
    assert [r.label for r in images.records] == [(0, 1), (0,)]


def test_a_missing_table_is_shown_a_row_of_it(tmp_path: Path) -> None:
    spec = write_folder(tmp_path, "", ["cat/0001.jpg"])
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(InputError, match=r"no such file; write one .*, like cat/0001.jpg,cat$"):
        load_images(spec, "all")
    (tmp_path / "images/cat/0001.jpg").unlink()
    with pytest.raises(InputError, match=r"like 0001.jpg,dog;person$"):
        load_images(spec, "all")


def test_another_encoding_names_the_line_and_the_cure(tmp_path: Path) -> None:
    spec = write_folder(tmp_path, "", ["a.jpg"])
    (tmp_path / "labels.csv").write_bytes("image,labels\na.jpg,vélo\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"labels.csv: line 2: not UTF-8 text; save it as 'CSV UTF-8'"):
        load_images(spec, "all")


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        (["Dog", "dog"], "Dog\ndog\n", [(0,), (1,)]),
        (["none", "dog"], "dog\nnone\n", [(1,), (0,)]),
        (["screw, flat", "screw"], "screw\nscrew, flat\n", [(1,), (0,)]),
        (["ve\u0301lo", "v\u00e9lo"], "v\u00e9lo\n", [(0,), (0,)]),
        (["ve\u0301lo", "v\u00e9lo"], None, [(0,), (0,)]),
        (["1", "02"], None, [(1,), (0,)]),
    ],
)
def test_names_of_classes(tmp_path: Path, labels: list[str], classes: str | None, expected: list[object]) -> None:
    csv = "image,labels\n" + "".join(f'{k}.jpg,"{label}"\n' for k, label in enumerate(labels))
    spec = write_folder(tmp_path, csv, ["0.jpg", "1.jpg"])
    if classes is not None:
        (tmp_path / "classes.txt").write_text(classes)
    assert [r.label for r in load_images(spec, "all").records] == expected


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("./a.jpg", "a.jpg"),
        ("images/sub/a.jpg", "sub/a.jpg"),
        ("sub\\a.jpg", "sub/a.jpg"),
        ("images/a.jpg", "images/a.jpg"),  # below images/ once more
        ("a.JPG", "a.jpg"),
        ("a", "a.jpg"),
        ("e\u0301.jpg", "\u00e9.jpg"),
        ("my photo #1 100%.jpg", "my photo #1 100%.jpg"),
    ],
)
def test_how_rows_write_an_image(tmp_path: Path, image: str, file: str) -> None:
    spec = write_folder(tmp_path, f"image,labels\n{image},cat\n", [file])
    (record,) = load_images(spec, "all").records
    assert (record.path, record.id) == (str(tmp_path / "images" / file), file.removesuffix(".jpg"))


@pytest.mark.parametrize("file", ["a.jfif", "a.heic", "a", "a.jpg~", "sub.v2/a"])
def test_a_listed_file_is_taken_whatever_its_suffix(tmp_path: Path, file: str) -> None:
    spec = write_folder(tmp_path, f"image,labels\n{file},cat\n", ["b.jpg"])
    (tmp_path / "images" / file).parent.mkdir(exist_ok=True)
    (tmp_path / "images" / "b.jpg").rename(tmp_path / "images" / file)
    (record,) = load_images(spec, "all").records
    assert record.size == (20, 30) and record.path == str(tmp_path / "images" / file)


def test_images_that_are_not_listed_are_left_out_and_counted(tmp_path: Path) -> None:
    spec = write_folder(tmp_path, "image,labels\na.jpg,cat\n", ["a.jpg", "b.jpg", "sub/c.png"])
    for name in ("a.json", "._a.jpg", "Thumbs.db"):
        (tmp_path / "images" / name).write_text("beside")
    images = load_images(spec, "all")
    assert len(images) == 1
    place = tmp_path / "images"
    assert images.notes == (f"{place}: 2 images are not listed in labels.csv and left out: b.jpg, sub/c.png",)
