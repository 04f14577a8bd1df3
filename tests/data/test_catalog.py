"""SPEC strings."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from data.catalog import absolute_spec, load_images, parse_spec
from data.decode import DecodeError, decode_record
from data.errors import InputError
from data.truth_reader import load_truth
from tests.data.layouts import voc_xml, write_folder, write_image, write_voc


@pytest.mark.parametrize(
    ("text", "scheme", "place", "sbd"),
    [
        ("voc:/data/VOC2012", "voc", "/data/VOC2012", None),
        ("voc:VOC2012?sbd=/data/sbd", "voc", "VOC2012", "/data/sbd"),
        ("coco:s3://bucket/coco", "coco", "s3://bucket/coco", None),
        ("folder:what?", "folder", "what?", None),
        ("voc:50% #1?sbd=/a b/c+d%20&e?f", "voc", "50% #1", "/a b/c+d%20&e?f"),
    ],
)
def test_good_specs(text: str, scheme: str, place: str, sbd: str | None) -> None:
    spec = parse_spec(text)
    assert (spec.text, spec.scheme, spec.place, spec.sbd) == (text, scheme, place, sbd)


def test_a_folder_alone_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    for scheme, mark in (("folder", "labels.csv"), ("coco", "annotations"), ("voc", "JPEGImages")):
        place = tmp_path / scheme
        (place / mark).mkdir(parents=True)
        with pytest.raises(InputError, match=f"for example {scheme}:{place}$"):
            parse_spec(str(place))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/data/VOC2012", "expected SCHEME:DIR, for example voc:/data/VOC2012"),
        ("voc:", "expected SCHEME:DIR"),
        ("vok:/data", "unknown scheme 'vok'; did you mean 'voc'"),
        ("s3://bucket/images", "did you mean 'folder:s3://bucket/images'"),
        ("voc:/data?sdb=/x", "unknown option 'sdb'"),
        ("coco:/data?val=0.2", "unknown option 'val'; known: exif, max_pixels, grey_bits"),
        ("coco:/data?sbd=/x", "unknown option 'sbd'; known: exif, max_pixels, grey_bits"),
        ("voc:/data?exif=yes", "exif is 'yes'; it is one of true, false"),
        ("voc:/data?max_pixels=1e9", "max_pixels is '1e9'; it is a whole number from 1"),
        ("folder:/data?grey_bits=8", "grey_bits is '8'; it is a whole number from 9 to 16"),
    ],
)
def test_bad_specs(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_spec(text)


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("voc:/d", "/d", (False, 100_000_000, 16)),
        ("folder:/d", "/d", (True, 100_000_000, 16)),
        ("folder:/d?exif=false", "/d", (False, 100_000_000, 16)),
        ("voc:/d?sbd=/s&exif=true&max_pixels=200000000", "/d", (True, 200_000_000, 16)),
        ("coco:/a?b/c?grey_bits=12", "/a?b/c", (False, 100_000_000, 12)),
    ],
)
def test_options_of_the_decoder(text: str, place: str, expected: tuple[bool, int, int]) -> None:
    spec = parse_spec(text)
    assert (spec.place, (spec.exif, spec.max_pixels, spec.grey_bits)) == (place, expected)


def test_an_absolute_spec_keeps_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = Path.cwd()
    assert absolute_spec("voc:a?exif=true&sbd=b&grey_bits=12") == f"voc:{here}/a?exif=true&sbd={here}/b&grey_bits=12"
    assert absolute_spec("folder:a") == f"folder:{here}/a"
    assert absolute_spec("coco:s3://b/a?exif=true") == "coco:s3://b/a?exif=true"


@pytest.mark.parametrize("annotated", [True, False])
def test_annotations_of_the_upright_picture(tmp_path: Path, annotated: bool) -> None:
    """An EXIF-rotated file of 30 x 20 pixels whose annotation says 20 x 30, or no size at all."""
    spec = write_voc(tmp_path, {"a": [("dog", (1, 1, 20, 30), False)]}, {"Main/train": ["a"]})
    exif = Image.Exif()
    exif[0x0112] = 6
    write_image(tmp_path / "JPEGImages/a.jpg", exif=exif)
    xml = voc_xml([("dog", (1, 1, 20, 30), False)], (30, 20) if annotated else None)
    (tmp_path / "Annotations/a.xml").write_text(xml)
    images = load_images(f"{spec}?exif=true", "train")
    assert images.records[0].size == (30, 20) and images.decoding["exif"]
    assert decode_record(images.records[0], **images.decoding).shape == (30, 20, 3)
    if annotated:
        unturned = load_images(spec, "train")
        with pytest.raises(DecodeError, match=r"add \?exif=true"):
            decode_record(unturned.records[0], **unturned.decoding)


def test_a_folder_without_rotation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    spec = write_folder(tmp_path, "image,labels\na.jpg,dog\n", ["a.jpg"], exif=exif)
    assert load_images(spec, "all").records[0].size == (30, 20)
    assert load_images(f"{spec}?exif=false", "all").records[0].size == (20, 30)


def test_reading_images_imports_neither_truth_nor_heavy_packages() -> None:
    code = "import sys, data.catalog; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "data.voc" in done.stdout
    for name in ("truth", "scipy", "pycocotools", "fsspec"):
        assert name not in done.stdout


def test_joined_splits_are_one_list(tmp_path: Path) -> None:
    """In the order named, each image once; a split whose own name has a plus is itself."""
    cat = [("cat", (1, 1, 5, 5), False)]
    lists = {"Main/train": ["3", "1"], "Main/val": ["2", "1"], "Main/odd+one": ["2"]}
    spec = write_voc(tmp_path, dict.fromkeys("123", cat), lists)
    assert [r.id for r in load_images(spec, "train+val").records] == ["3", "1", "2"]
    assert [r.id for r in load_images(spec, "odd+one").records] == ["2"]
    assert [truth.id for truth in load_truth(spec, "val+train")] == ["2", "1", "3"]
    for split, wrong in (("train+vla", "vla"), ("+", r"\+")):
        with pytest.raises(InputError, match=f"no split '{wrong}'"):
            load_images(spec, split)
