"""Images of all kinds through the engine: decoded right, or recorded with a reason; none stops the run."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.engine.toy import pixel_stage
from data.errors import InputError
from data.records import ImageList, ImageRecord
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open
from store.store import open_store


def huge_png(path: Path) -> None:
    """A header that promises 40,000 x 40,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def write_zoo(folder: Path) -> tuple[dict[str, Path], dict[str, tuple[float, float, float]]]:
    """(name -> path, name -> mean RGB of those that can be decoded)."""
    rgb = np.zeros((12, 20, 3), np.uint8)
    rgb[:] = (200, 100, 50)
    picture = Image.fromarray(rgb)
    good = {
        "rgb.png": picture,
        "grey.png": Image.new("L", (20, 12), 77),
        "palette.png": picture.quantize(4),
        "cmyk.jpg": picture.convert("CMYK"),
        "deep.png": Image.fromarray(np.full((12, 20), 77 * 257, np.uint16)),
        "dot.png": picture.resize((1, 1)),
    }
    for name, image in good.items():
        image.save(folder / name)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(folder / "whole.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:4000])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no image")
    (folder / "folder.jpg").mkdir()
    huge_png(folder / "huge.png")
    bad = ("truncated.jpg", "empty.jpg", "text.jpg", "folder.jpg", "huge.png", "missing.jpg")
    colour = dict.fromkeys(("rgb.png", "palette.png", "cmyk.jpg", "dot.png"), (200.0, 100.0, 50.0))
    grey = dict.fromkeys(("grey.png", "deep.png"), (77.0, 77.0, 77.0))
    return {name: folder / name for name in (*good, *bad)}, {**colour, **grey}


def test_options_of_the_decoder_reach_the_workers(tmp_path: Path, url: str) -> None:
    """A limit that was too low may be raised later; other grey bits would make other pixels."""
    Image.fromarray(np.full((12, 20), 2048, np.uint16)).save(tmp_path / "a.png")
    record = ImageRecord("a", str(tmp_path / "a.png"), (12, 20), (0,))
    images = ImageList("folder:x", "all", ("thing",), (1,), (record,), max_pixels=200, grey_bits=12)
    store = create_or_open(url, images)
    assert run_stage(store, images, pixel_stage(), SerialExecutor()).tally.reasons.total() == 1
    raised = replace(images, max_pixels=240)
    store = create_or_open(url, raised)
    assert open_store(url).decoding == raised.decoding
    assert run_stage(store, raised, pixel_stage(), SerialExecutor(), retry_failed=True).tally.done == 1
    assert store.read("pixels/mean", 0).tolist() == [128, 128, 128]
    assert create_or_open(url, replace(images, max_pixels=100_000_000)).decoding["max_pixels"] == 100_000_000
    with pytest.raises(InputError, match="grey_bits: 12 stored, 16 now"):
        create_or_open(url, replace(images, grey_bits=16))


def test_a_zoo_of_images(tmp_path: Path, url: str) -> None:
    paths, means = write_zoo(tmp_path)
    sizes = {"dot.png": (1, 1)}
    records = tuple(ImageRecord(name, str(path), sizes.get(name, (12, 20)), (0,)) for name, path in paths.items())
    images = ImageList("folder:zoo", "train", ("thing",), (1,), records)
    store = create_or_open(url, images)
    summary = run_stage(store, images, pixel_stage(), SerialExecutor())
    assert (summary.tally.done, summary.tally.failed, summary.exit_status) == (6, 6, 3)
    for row, name in enumerate(paths):
        if name in means:
            assert store.status("pixels")[row] == 1
            assert np.allclose(store.read("pixels/mean", row), means[name], atol=3), name
    record = store.completion("pixels", 0)
    assert record is not None
    reasons = {outcome.id: outcome.reason for outcome in record.images if outcome.status == 2}
    assert set(reasons) == set(paths) - set(means) and all(reasons.values())
    assert "empty" in reasons["empty.jpg"] and "1600000000" in reasons["huge.png"].replace(",", "").replace(" ", "")
    Image.new("RGB", (20, 12)).save(tmp_path / "missing.jpg")
    again = run_stage(store, images, pixel_stage(), SerialExecutor(), retry_failed=True)
    assert (again.computed.images, again.tally.done, again.tally.failed) == (6, 7, 5)
