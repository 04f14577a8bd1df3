"""Valid files of every kind that people bring, with bytes changed: a result or a refusal, never another exception.

Images, published proposals (.mat of an image and of a data set, pickles), masks of a segmenter, results of COCO and of
VOC.
"""

import io
import json
import pickle
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from data import rle
from data.decode import DecodeError, decode_image, image_size
from data.errors import InputError
from pdsl.evaluate.results import read_results
from pipeline.spec import ImageFailure
from stages.proposals.files import ProposalFiles
from stages.proposals.mask_files import MaskFiles
from tests.evaluate.makers import SIZE, image_list

IMAGES = image_list(["139", "285"])
SECONDS = 20.0
"""No small file may take longer."""
TOKENS = (
    *(b"\x00", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\n", b" "),
    *(b"[", b"]", b"{", b"}", b'"', b",", b"-", b"NaN", b"Infinity", b"1e999", b"null", b"true", b"[[", b"9" * 30),
    *(b"." * 5, b"(", b"R", b"\x93", b"\x8e", b"\x94", b"0", b"o" * 12),
)


def images() -> list[bytes]:
    """One small file of each format and of the odd modes."""
    pixels = np.random.default_rng(0).integers(0, 255, (12, 9, 3), np.uint8)
    picture = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = [
        *((picture, form, {}) for form in ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")),
        (picture, "JPEG", {"exif": exif, "progressive": True}),
        (picture.convert("CMYK"), "JPEG", {}),
        (picture.quantize(4), "PNG", {"transparency": 1}),
        (Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "PNG", {}),
        (Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), "TIFF", {"compression": "tiff_lzw"}),
        (picture.convert("1"), "TIFF", {"compression": "group4"}),
    ]
    return [_saved(image, form, options) for image, form, options in kinds]


def _saved(image: Image.Image, form: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _mat(content: dict[str, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, content, **options)
    return buffer.getvalue()


def mats() -> list[bytes]:
    boxes = np.array([[1, 1, 40, 60], [11, 21, 30, 50]], np.float64)
    cells = np.empty((1, 2), object)
    names = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1], names[0, 0], names[0, 1] = boxes, boxes[:1], "139", "285"
    table = {"boxes": cells, "images": names}
    whole = {"boxes": boxes, "scores": np.ones(2)}
    return [_mat(whole), _mat(whole, format="4"), _mat(table), _mat(table, do_compression=True)]


def pickles() -> list[bytes]:
    content = {"boxes": [np.array([[0, 0, 9, 9]], np.float32)], "objectness_logits": [np.ones(1)], "ids": [139]}
    return [pickle.dumps(content, protocol) for protocol in (0, 2, 5)]


def masks() -> list[bytes]:
    mask = np.zeros(SIZE, bool)
    mask[10:60, 20:70] = True
    encoded = rle.encode(mask)
    text = {"size": list(SIZE), "counts": encoded["counts"].decode()}
    row = {"segmentation": text, "bbox": [20, 10, 49, 49], "predicted_iou": 0.5, "stability_score": 0.9}
    polygon = {**row, "segmentation": [[10, 20, 40, 20, 40, 60]], "bbox": []}
    contents: list[Any] = [[row, polygon], {"image": {}, "annotations": [row]}, {"139": [row], "285": []}]
    contents.append([{**row, "image_id": 139}])
    return [json.dumps(content).encode() for content in contents]


def results() -> list[bytes]:
    row = {"image_id": 139, "category_id": 3, "score": 0.5, "bbox": [10, 20, 30, 40]}
    rows = [{**row, "segmentation": mask["segmentation"]} for mask in json.loads(masks()[0])]
    return [json.dumps([row, row]).encode(), json.dumps(rows).encode()]


@dataclass(frozen=True)
class Reader:
    """A way to read a file. files: valid ones; name: what the file is called; refusals: what it may raise."""

    files: Callable[[], list[bytes]]
    name: str
    read: Callable[[Path], object]
    refusals: tuple[type[Exception], ...]


def _masks(path: Path) -> object:
    return MaskFiles(str(path)).lookup("139", SIZE)


def _decode(path: Path) -> object:
    return decode_image(path, exif=True, max_pixels=10**6), image_size(path, exif=True)


def _proposals(path: Path) -> object:
    return ProposalFiles(str(path)).lookup("139", (60, 80))


READERS = {
    "image": Reader(images, "a.jpg", _decode, (DecodeError,)),
    "mat": Reader(mats, "139.mat", _proposals, (InputError, ImageFailure)),
    "pickle": Reader(pickles, "p.pkl", _proposals, (InputError, ImageFailure)),
    "masks": Reader(masks, "139.json", _masks, (InputError, ImageFailure)),
    "results": Reader(results, "r.json", lambda path: read_results(path, IMAGES), (InputError,)),
    "voc results": Reader(
        lambda: [b"139 0.5 1 2 30 40\n285 1e-5 4 5.5 6 7\n"],
        "comp4_det_val_cat.txt",
        lambda path: read_results(path, IMAGES),
        (InputError,),
    ),
}

EDIT = st.tuples(
    st.sampled_from(("replace", "insert", "delete", "repeat", "cut")),
    st.floats(0, 1),
    st.one_of(st.sampled_from(TOKENS), st.binary(min_size=1, max_size=8)),
    st.integers(1, 40),
)


def changed(content: bytes, edits: list[tuple[str, float, bytes, int]]) -> bytes:
    """`content` after the edits: at a place (0 to 1), with some bytes, over a length."""
    for kind, where, token, length in edits:
        at = int(where * len(content))
        if kind == "replace":
            content = content[:at] + token + content[at + len(token) :]
        elif kind == "insert":
            content = content[:at] + token + content[at:]
        elif kind == "delete":
            content = content[:at] + content[at + length :]
        elif kind == "repeat":
            content = content[: at + length] + content[at:]
        else:
            content = content[:at]
    return content


def try_many(kind: str, examples: int) -> None:
    reader = READERS[kind]
    valid = reader.files()

    @seed(0)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(valid) - 1), st.lists(EDIT, min_size=1, max_size=4))
    def attempt(which: int, edits: list[tuple[str, float, bytes, int]]) -> None:
        (folder / reader.name).write_bytes(changed(valid[which], edits))
        started = time.monotonic()
        try:
            reader.read(folder / reader.name)
        except reader.refusals as error:
            assert str(error).strip(), "a refusal without a reason"
        assert time.monotonic() - started < SECONDS

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for content in valid:
            (folder / reader.name).write_bytes(content)
            reader.read(folder / reader.name)
        attempt()


@pytest.mark.parametrize("kind", READERS)
def test_changed_bytes_are_read_or_refused(kind: str) -> None:
    try_many(kind, 150)


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
def test_many_changed_bytes_are_read_or_refused(kind: str) -> None:
    try_many(kind, 10_000)
