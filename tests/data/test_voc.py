"""The VOC reader: splits, labels, sizes, SBD, and everything that can contradict itself."""

from pathlib import Path

import fsspec
import numpy as np
import pytest
import scipy.io
from PIL import Image

from data import rle
from data.catalog import default_splits, load_images, splits_of
from data.decode import decode_record
from data.errors import InputError
from data.truth_reader import load_truth
from data.voc import CLASSES
from tests.data.layouts import voc_xml, write_image, write_segmentation, write_voc

CAT = ("cat", (2, 3, 10, 12), False)
HARD_DOG = ("dog", (11, 3, 20, 12), True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    lists = {
        "Main/train": ["a", "b"],
        "Main/trainval": ["a", "b", "c"],
        "Main/cat_trainval": ["a 1"],
        "Segmentation/train": ["a"],
        "Segmentation/val": ["c"],
    }
    write_voc(tmp_path, {"a": [CAT, HARD_DOG], "b": [], "c": [CAT]}, lists)
    return tmp_path


def test_splits(root: Path) -> None:
    spec = f"voc:{root}"
    assert splits_of(spec) == ["train", "trainval", "seg-train", "seg-val", "trainval-no-segval"]
    assert default_splits(spec) == ("trainval-no-segval", "seg-val")
    assert [r.id for r in load_images(spec, "trainval-no-segval").records] == ["a", "b"]
    assert [r.id for r in load_images(spec, "seg-val").records] == ["c"]
    with pytest.raises(InputError, match="no split 'trian'; did you mean 'train'"):
        load_images(spec, "trian")


def test_records(root: Path) -> None:
    images = load_images(f"voc:{root}", "trainval")
    assert images.class_names == CLASSES
    assert images.category_ids == tuple(range(1, 21))
    assert not images.exif
    first, empty, _ = images.records
    assert first.path == str(root / "JPEGImages" / "a.jpg")
    assert first.size == (20, 30)
    assert [CLASSES[c] for c in first.label] == ["cat", "dog"]  # difficult ones are present, parts are not classes
    assert empty.label == ()


def test_class_names_in_other_characters_and_blanks(root: Path) -> None:
    (root / "classes.txt").write_text("ve\u0301lo\ntraffic light\n")
    xml = voc_xml([("v\u00e9lo", CAT[1], False), (" traffic  light\n", CAT[1], False)])
    (root / "Annotations" / "a.xml").write_text(xml)
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    images = load_images(f"voc:{root}", "train")
    assert images.class_names == ("v\u00e9lo", "traffic light") and images.records[0].label == (0, 1)


def test_other_class_names_and_a_size_from_the_header(root: Path) -> None:
    (root / "classes.txt").write_text("dog\ncat\n")
    (root / "Annotations" / "a.xml").write_text(voc_xml([CAT], size=None))
    images = load_images(f"voc:{root}", "train")
    assert images.class_names == ("dog", "cat")
    assert images.records[0].label == (1,)
    assert images.records[0].size == (20, 30)


def test_a_broken_image_without_annotated_size_has_size_zero(root: Path) -> None:
    (root / "Annotations" / "a.xml").write_text(voc_xml([CAT], size=None))
    (root / "JPEGImages" / "a.jpg").write_bytes(b"")
    assert load_images(f"voc:{root}", "train").records[0].size == (0, 0)


def _break(root: Path, what: str) -> None:
    if what == "image":
        (root / "JPEGImages" / "a.jpg").unlink()
    elif what == "annotation":
        (root / "Annotations" / "a.xml").unlink()
    elif what == "xml":
        (root / "Annotations" / "a.xml").write_text("<annotation><object>")
    elif what == "class":
        (root / "Annotations" / "a.xml").write_text(voc_xml([("catt", (1, 1, 2, 2), False)]))
    elif what == "twice":
        (root / "ImageSets" / "Main" / "train.txt").write_text("a\nb\na\n")
    elif what == "empty":
        (root / "ImageSets" / "Main" / "train.txt").write_text("\n")
    elif what == "classes":
        (root / "classes.txt").write_text("cat\ncat\n")
    elif what == "text":
        (root / "ImageSets" / "Main" / "train.txt").write_bytes(b"\xff\xfe\x00a")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("image", r"JPEGImages: 1 images of split 'train' are missing: a;"),
        ("annotation", r"Annotations: 1 images of split 'train' have no annotation: a.xml;"),
        ("xml", r"a.xml: broken XML"),
        ("class", r"a.xml: unknown class 'catt'; did you mean 'cat'"),
        ("twice", r"Main/train.txt: listed twice: a;"),
        ("empty", r"Main/train.txt: the list is empty"),
        ("classes", r"classes.txt: empty or a name twice"),
        ("text", r"Main/train.txt: not UTF-8"),
    ],
)
def test_contradictions_name_the_file(root: Path, what: str, message: str) -> None:
    _break(root, what)
    with pytest.raises(InputError, match=message):
        load_images(f"voc:{root}", "train")


def test_not_a_voc_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder JPEGImages"):
        load_images(f"voc:{tmp_path}", "train")
    with pytest.raises(InputError, match="no folder JPEGImages"):
        load_images(f"voc:{tmp_path / 'absent'}", "train")


def test_truth_boxes_become_zero_based_and_half_open(root: Path) -> None:
    truth = load_truth(f"voc:{root}", "train")
    cat, dog = truth[0].objects
    assert cat.box.tolist() == [1, 2, 10, 12]
    assert cat.box.dtype == np.float64
    assert (cat.difficult, dog.difficult) == (False, True)
    assert not truth[0].has_masks and cat.mask is None
    assert truth[1].objects == ()


def test_truth_masks_find_their_objects(root: Path) -> None:
    instance, classes = np.zeros((20, 30), int), np.zeros((20, 30), int)
    instance[3:12, 2:10], classes[3:12, 2:10] = 2, CLASSES.index("cat") + 1  # overlaps the annotated cat
    instance[15:18, 20:29], classes[15:18, 20:29] = 1, CLASSES.index("cow") + 1  # nobody annotated a cow
    instance[0, :5] = classes[0, :5] = 255
    write_segmentation(root, "a", instance, classes)
    (truth,) = load_truth(f"voc:{root}", "seg-train")
    cat, dog, cow = truth.objects
    assert truth.has_masks and truth.void is not None and cat.mask is not None and cow.mask is not None
    np.testing.assert_array_equal(rle.decode(cat.mask), instance == 2)
    assert cat.box.tolist() == [1, 2, 10, 12]
    assert dog.mask is None
    assert CLASSES[cow.class_id] == "cow" and cow.box.tolist() == [20, 15, 29, 18]
    np.testing.assert_array_equal(rle.decode(cow.mask), instance == 1)
    assert rle.decode(truth.void).sum() == 5


def test_truth_errors(root: Path) -> None:
    with pytest.raises(InputError, match=r"SegmentationObject/a.png: missing"):
        load_truth(f"voc:{root}", "seg-train")
    write_segmentation(root, "a", np.ones((5, 5)), np.ones((5, 5)))
    with pytest.raises(InputError, match=r"SegmentationObject/a.png: \(5, 5\) pixels"):
        load_truth(f"voc:{root}", "train")
    write_segmentation(root, "a", np.ones((20, 30)), np.zeros((20, 30)))
    with pytest.raises(InputError, match=r"SegmentationClass/a.png: instance 1"):
        load_truth(f"voc:{root}", "train")
    (root / "SegmentationObject" / "a.png").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"SegmentationObject/a.png: not a readable PNG"):
        load_truth(f"voc:{root}", "train")
    xml = root / "Annotations" / "b.xml"
    xml.write_text("<annotation><object><name>cat</name></object></annotation>")
    (root / "SegmentationObject" / "a.png").unlink()
    with pytest.raises(InputError, match=r"b.xml: an object 'cat' has no usable bndbox"):
        load_truth(f"voc:{root}", "train")


@pytest.fixture
def sbd(root: Path) -> Path:
    """SBD with `c` (VOC seg val), `d` (image in SBD only, no XML) and `a` (annotated by VOC as well)."""
    folder = root / "sbd"
    (folder / "inst").mkdir(parents=True)
    write_image(folder / "img" / "d.jpg")
    numbers = np.zeros((20, 30), np.uint8)
    numbers[4:9, 5:15], numbers[10:12, 1:3] = 1, 2
    record = {"Segmentation": numbers, "Categories": np.array([[CLASSES.index("sheep") + 1], [1]], np.uint8)}
    for image_id in "acd":
        scipy.io.savemat(folder / "inst" / f"{image_id}.mat", {"GTinst": record})
    (folder / "train.txt").write_text("a\nd\n")
    (folder / "val.txt").write_text("c\n")
    return folder


def test_sbd_splits_labels_and_truth(root: Path, sbd: Path) -> None:
    spec = f"voc:{root}"
    assert splits_of(spec)[-3:] == ["sbd-train", "sbd-val", "train-aug"]
    images = load_images(spec, "train-aug")
    assert [r.id for r in images.records] == ["a", "d"]
    extra = images.records[1]
    assert [CLASSES[c] for c in extra.label] == ["aeroplane", "sheep"]
    assert extra.size == (20, 30) and extra.path == str(sbd / "img" / "d.jpg")
    sheep, plane = load_truth(spec, "train-aug")[1].objects
    assert sheep.box.tolist() == [5, 4, 15, 9] and plane.box.tolist() == [1, 10, 3, 12]


def test_sbd_elsewhere_and_broken(root: Path, sbd: Path, tmp_path: Path) -> None:
    moved = root / "elsewhere" / "benchmark_RELEASE" / "dataset"
    moved.parent.mkdir(parents=True)
    sbd.rename(moved)
    spec = f"voc:{root}?sbd={root / 'elsewhere'}"
    assert [r.id for r in load_images(spec, "sbd-train").records] == ["a", "d"]
    (moved / "inst" / "d.mat").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"d.mat: not an SBD instance annotation"):
        load_images(spec, "sbd-train")
    with pytest.raises(InputError, match="no folder inst"):
        splits_of(f"voc:{root}?sbd={root / 'nowhere'}")
    assert splits_of(f"voc:{root}")[-1] == "trainval-no-segval"


def test_an_object_store(root: Path) -> None:
    fsspec.filesystem("memory").put(str(root), "/bucket/voc", recursive=True)
    local, remote = (load_images(f"voc:{place}", "trainval") for place in (root, "memory://bucket/voc/"))
    assert remote.digest() == local.digest()
    assert remote.records[0].path == "memory://bucket/voc/JPEGImages/a.jpg"
    assert decode_record(remote.records[0], exif=False).shape == (20, 30, 3)
    assert len(load_truth("voc:memory://bucket/voc", "train")[0].objects) == 2


@pytest.mark.parametrize(
    ("side_file", "chosen"),
    [
        ("a.json", "a.jpg"),  # labelme
        ("a.xml", "a.jpg"),
        ("a.png", "a.jpg"),  # a mask
        ("a.jpg.bak", "a.jpg"),
        (".a.jpg.swp", "a.jpg"),
    ],
)
def test_files_beside_an_image_do_not_replace_it(root: Path, side_file: str, chosen: str) -> None:
    (root / "JPEGImages" / side_file).write_bytes(b"no image")
    assert load_images(f"voc:{root}", "train").records[0].path == str(root / "JPEGImages" / chosen)


def test_the_annotation_names_one_of_two_files(root: Path) -> None:
    write_image(root / "JPEGImages" / "a.png")
    xml = voc_xml([CAT]).replace("<annotation>", "<annotation><filename>images\\a.png</filename>")
    (root / "Annotations" / "a.xml").write_text(xml)
    assert load_images(f"voc:{root}", "train").records[0].path == str(root / "JPEGImages" / "a.png")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("my cat.jpg", "my cat"),
        ("my cat.jpg", "my cat.jpg"),
        ("my cat.jpg", "my cat  1"),
        ("my cat 1.jpg", "my cat 1"),
        ("x.jpg", "x -1"),
        ("x.jpg", "x some remark"),
        ("x.jpg", "JPEGImages/x.jpg"),
        ("x.jpg", "/JPEGImages/x.jpg /SegmentationClassAug/x.png"),  # DeepLab
        ("x.jpg", "data\\VOC\\JPEGImages\\x.jpg"),
        ("50% #1.jpg", "50% #1"),
        ("\u00e9.jpg", "e\u0301"),
        ("sub/x.jpg", "sub/x"),
        ("X.JPG", "x"),
        ("v1.2.jpg", "v1.2"),
    ],
)
def test_how_lists_write_an_image(root: Path, file: str, line: str) -> None:
    image_id = file.removesuffix(".jpg").removesuffix(".JPG")
    write_image(root / "JPEGImages" / file)
    path = root / "Annotations" / f"{image_id}.xml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(voc_xml([CAT]))
    (root / "ImageSets" / "Main" / "t1_train.txt").write_text(f"{line}\n")
    (record,) = load_images(f"voc:{root}", "t1_train").records
    assert (record.id, record.path) == (image_id, str(root / "JPEGImages" / file))
    assert len(load_truth(f"voc:{root}", "t1_train")[0].objects) == 1


def test_lists_of_a_class_are_those_of_known_classes(root: Path) -> None:
    for name in ("farm_train", "cow_val", "seen_test"):
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text("a\n")
    assert splits_of(f"voc:{root}")[:4] == ["farm_train", "seen_test", "train", "trainval"]
    (root / "classes.txt").write_text("cat\ndog\nfarm\n")
    assert splits_of(f"voc:{root}")[:2] == ["seen_test", "train"]


def test_a_list_of_test_images(root: Path) -> None:
    write_image(root / "JPEGImages" / "t.jpg", (7, 9))
    (root / "ImageSets" / "Main" / "test.txt").write_text("t\n")
    (record,) = load_images(f"voc:{root}", "test").records
    assert (record.label, record.size) == ((), (7, 9))
    with pytest.raises(InputError, match="no image of split 'test' is annotated"):
        load_truth(f"voc:{root}", "test")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<xmin>2<", "<xmin>nan<", r"object 1: xmin nan, ymin 3"),
        ("<xmin>2<", "<xmin>1e999<", r"object 1: xmin 1e999"),
        ("<xmin>2<", "<xmin>ten<", r"object 1: xmin ten, ymin 3"),
        ("<xmin>2</xmin>", "", r"object 1: xmin is missing"),
        ("<xmax>10<", "<xmax>1<", r"object 1: xmin 2, ymin 3, xmax 1, ymax 12"),
        ("<ymax>12<", "<ymax>2<", r"object 1: .* ymax 2"),
        (
            "<xmin>2</xmin><ymin>3</ymin><xmax>10<",
            "<xmin>31</xmin><ymin>3</ymin><xmax>40<",
            "object 1: .* outside the image of 30 x 20",
        ),
    ],
)
def test_boxes_that_are_none_name_object_and_side(root: Path, old: str, new: str, message: str) -> None:
    xml = (root / "Annotations" / "a.xml").read_text()
    assert old in xml
    (root / "Annotations" / "a.xml").write_text(xml.replace(old, new, 1))
    with pytest.raises(InputError, match=rf"a.xml: an object 'cat' has no usable bndbox \({message}"):
        load_truth(f"voc:{root}", "train")


@pytest.mark.parametrize(
    ("text", "difficult"), [("1", True), (" 1\n", True), ("true", True), ("0", False), ("", False), ("False", False)]
)
def test_how_tools_write_difficult(root: Path, text: str, difficult: bool) -> None:
    xml = voc_xml([CAT]).replace("<difficult>0<", f"<difficult>{text}<")
    (root / "Annotations" / "a.xml").write_text(xml)
    assert load_truth(f"voc:{root}", "train")[0].objects[0].difficult is difficult


def test_difficult_is_a_truth_value(root: Path) -> None:
    (root / "Annotations" / "a.xml").write_text(voc_xml([CAT]).replace("<difficult>0<", "<difficult>maybe<"))
    with pytest.raises(InputError, match=r"a.xml: object 1 'cat': difficult is 'maybe'; write 0 or 1"):
        load_truth(f"voc:{root}", "train")


def test_a_namespace_hides_no_object(root: Path) -> None:
    xml = voc_xml([CAT]).replace("<annotation>", '<annotation xmlns="urn:x">')
    (root / "Annotations" / "a.xml").write_text(xml)
    assert load_images(f"voc:{root}", "train").records[0].label == (CLASSES.index("cat"),)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<object>", "<list><object>", "objects within other elements"),
        ("<name>cat</name>", "", "an object has no name; write its class"),
        ("<name>cat</name>", "<name> </name>", "an object has no name"),
    ],
)
def test_objects_that_would_not_be_seen(root: Path, old: str, new: str, message: str) -> None:
    xml = voc_xml([CAT]).replace(old, new)
    if "<list>" in new:
        xml = xml.replace("</object>", "</object></list>")
    (root / "Annotations" / "a.xml").write_text(xml)
    with pytest.raises(InputError, match=f"a.xml: {message}"):
        load_images(f"voc:{root}", "train")


def test_another_xml_is_no_annotation(root: Path) -> None:
    (root / "Annotations" / "a.xml").write_text("<html><body/></html>")
    with pytest.raises(InputError, match=r"a.xml: no VOC annotation: its root is 'html', not 'annotation'"):
        load_images(f"voc:{root}", "train")


@pytest.mark.parametrize("size", ["nan", "inf", "1e400", "-5", "0", "wide", "9e9", ""])
def test_a_size_that_is_none_is_the_header_s(root: Path, size: str) -> None:
    xml = voc_xml([CAT]).replace("<width>30<", f"<width>{size}<")
    (root / "Annotations" / "a.xml").write_text(xml)
    assert load_images(f"voc:{root}", "train").records[0].size == (20, 30)


def test_numbers_of_16_bits_are_not_wrapped(root: Path) -> None:
    instance = np.full((20, 30), 257, np.uint16)
    write_segmentation(root, "a", instance % 256, instance % 256)
    Image.fromarray(instance).save(root / "SegmentationObject" / "a.png")
    with pytest.raises(InputError, match=r"SegmentationObject/a.png: holds 257; expected palette indices of 8 bits"):
        load_truth(f"voc:{root}", "train")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"Segmentation": np.full((20, 30), 3), "Categories": np.array([1, 2])}, "the instance 3, Categories 2 of"),
        ({"Segmentation": np.zeros((20, 30))}, "not an SBD instance annotation"),
        ({"Segmentation": "x", "Categories": [1]}, "not an SBD instance annotation"),
        ({"Segmentation": np.zeros((20, 30)), "Categories": [21]}, "category outside"),
    ],
)
def test_sbd_files_that_contradict_themselves(root: Path, sbd: Path, record: object, message: str) -> None:
    scipy.io.savemat(sbd / "inst" / "d.mat", {"GTinst": record})
    with pytest.raises(InputError, match=rf"d.mat: .*{message}"):
        load_truth(f"voc:{root}", "sbd-train")
