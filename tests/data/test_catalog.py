"""SPEC strings."""

import subprocess
import sys

import pytest

from data.catalog import parse_spec
from data.errors import InputError


@pytest.mark.parametrize(
    ("text", "scheme", "place", "sbd"),
    [
        ("voc:/data/VOC2012", "voc", "/data/VOC2012", None),
        ("voc:VOC2012?sbd=/data/sbd", "voc", "VOC2012", "/data/sbd"),
        ("coco:s3://bucket/coco", "coco", "s3://bucket/coco", None),
        ("folder:what?", "folder", "what?", None),
    ],
)
def test_good_specs(text: str, scheme: str, place: str, sbd: str | None) -> None:
    spec = parse_spec(text)
    assert (spec.text, spec.scheme, spec.place, spec.sbd) == (text, scheme, place, sbd)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/data/VOC2012", "expected SCHEME:DIR, for example voc:/data/VOC2012"),
        ("voc:", "expected SCHEME:DIR"),
        ("vok:/data", "unknown scheme 'vok'; did you mean 'voc'"),
        ("s3://bucket/images", "did you mean 'folder:s3://bucket/images'"),
        ("voc:/data?sdb=/x", "unknown option 'sdb'"),
    ],
)
def test_bad_specs(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_spec(text)


def test_reading_images_imports_neither_truth_nor_heavy_packages() -> None:
    code = "import sys, data.catalog; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "data.voc" in done.stdout
    for name in ("truth", "scipy", "pycocotools", "fsspec"):
        assert name not in done.stdout
