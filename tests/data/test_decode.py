"""The decoder on files of every mode, made by hand, and on everything that can be wrong with a file."""

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from data.decode import DecodeError, decode_image, decode_record, image_size
from data.errors import InputError
from data.records import ImageRecord

GREY = np.linspace(0, 255, 48).round().astype(np.uint8).reshape(6, 8)
COLOUR = np.stack([GREY, GREY[::-1], np.full_like(GREY, 60)], -1)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def decoded(content: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rgb = decode_image(content, exif=False)
    assert rgb.dtype == np.uint8
    assert rgb.ndim == 3 and rgb.shape[2] == 3
    return rgb


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_rgb(form: str) -> None:
    np.testing.assert_array_equal(decoded(encoded(Image.fromarray(COLOUR), form)), COLOUR)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_is_repeated_over_the_channels(mode: str) -> None:
    np.testing.assert_array_equal(decoded(encoded(Image.fromarray(GREY).convert(mode))), np.stack([GREY] * 3, -1))


def test_one_bit() -> None:
    rgb = decoded(encoded(Image.fromarray(GREY > 100)))
    np.testing.assert_array_equal(rgb[..., 0], np.where(GREY > 100, 255, 0))


def test_alpha_is_dropped() -> None:
    alpha = np.full((6, 8, 1), 7, np.uint8)
    np.testing.assert_array_equal(decoded(encoded(Image.fromarray(np.concatenate([COLOUR, alpha], -1)))), COLOUR)


@pytest.mark.parametrize("transparency", [None, 1, bytes([0, 128, 255])])
def test_palette_with_and_without_transparency(transparency: object) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    options = {} if transparency is None else {"transparency": transparency}
    rgb = decoded(encoded(image, **options))
    assert rgb.tolist() == [[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]]


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_not_clipped(form: str) -> None:
    wide = np.array([[0, 255, 256], [32768, 65280, 65535]], np.uint16)
    rgb = decoded(encoded(Image.fromarray(wide), form))
    assert rgb[..., 0].tolist() == [[0, 0, 1], [128, 255, 255]]


def test_cmyk_jpeg() -> None:
    flat = np.broadcast_to(np.array([200, 40, 90], np.uint8), (16, 16, 3))
    rgb = decoded(encoded(Image.fromarray(flat.copy()).convert("CMYK"), "JPEG", quality=100))
    assert np.abs(rgb.astype(int) - flat).max() <= 3


def test_ycck_jpeg() -> None:
    """A CMYK file whose Adobe marker is patched to say YCCK: stored (55, 128, 128, 255) is Y = 55 without chroma."""
    content = encoded(Image.new("CMYK", (16, 16), (200, 127, 127, 0)), "JPEG", quality=100)
    transform = content.index(b"Adobe") + 11
    assert content[transform] == 0
    rgb = decoded(content[:transform] + b"\x02" + content[transform + 1 :])
    assert np.abs(rgb.astype(int) - 200).max() <= 3


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.fromarray(np.full((4, 4), v, np.uint8)) for v in (30, 200)]
    assert (decoded(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])) == 30).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_only_if_asked(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(COLOUR), "PNG", exif=exif)
    upright = {
        1: COLOUR, 2: COLOUR[:, ::-1], 3: COLOUR[::-1, ::-1], 4: COLOUR[::-1], 5: COLOUR.swapaxes(0, 1),
        6: np.rot90(COLOUR, -1), 7: COLOUR[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(COLOUR),
    }[orientation]  # fmt: skip
    np.testing.assert_array_equal(decode_image(content, exif=False), COLOUR)
    np.testing.assert_array_equal(decode_image(content, exif=True), upright)
    assert image_size(content, exif=True) == upright.shape[:2]
    assert image_size(content, exif=False) == (6, 8)


def test_every_kind_of_source(tmp_path: Path) -> None:
    content = encoded(Image.fromarray(COLOUR))
    path = tmp_path / "picture without suffix"
    path.write_bytes(content)
    with fsspec.open("memory://decode/a.png", "wb") as stream:
        stream.write(content)
    for source in (path, str(path), f"file://{path}", "memory://decode/a.png", content, io.BytesIO(content)):
        np.testing.assert_array_equal(decode_image(source, exif=False), COLOUR)


PNG = encoded(Image.fromarray(COLOUR))
JPEG = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), "JPEG")
BROKEN = {
    "empty": (b"", "empty file"),
    "text": (b"<html>not found</html>", "not an image"),
    "truncated JPEG": (JPEG[: len(JPEG) // 2], "truncated"),
    "truncated PNG": (PNG[:60], "truncated"),
    "header only": (JPEG[:20], "image"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_content_is_a_decode_error_with_a_reason(kind: str) -> None:
    content, reason = BROKEN[kind]
    with pytest.raises(DecodeError, match=reason):
        decode_image(content, exif=True)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("bits", "values", "expected"),
    [(12, [0, 15, 16, 2048, 4095], [0, 0, 1, 128, 255]), (10, [0, 4, 1023], [0, 1, 255]), (16, [4095], [15])],
)
def test_bits_of_grey_samples(form: str, bits: int, values: list[int], expected: list[int]) -> None:
    content = encoded(Image.fromarray(np.array([values], np.uint16)), form)
    assert decode_image(content, exif=False, grey_bits=bits)[0, :, 0].tolist() == expected
    with pytest.raises(DecodeError, match=f"a sample is {values[-1]}, more than 9 bits hold"):
        decode_image(content, exif=False, grey_bits=9)


def test_pipes_sockets_and_devices_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, kind in ((tmp_path / "pipe.jpg", "named pipe"), (Path("/dev/zero"), "device")):
        with pytest.raises(DecodeError, match=f"a {kind}, not a file"):
            decode_image(path, exif=False)
        with pytest.raises(DecodeError, match=kind):
            image_size(path, exif=True)


def test_the_pixel_limit_may_pass_pillows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DecodeError, match="too many pixels"):
        decode_image(PNG, exif=False, max_pixels=40)
    assert decode_image(PNG, exif=False, max_pixels=48).shape == (6, 8, 3)


def test_missing_files_folders_and_sizes(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="file not found"):
        decode_image(tmp_path / "absent.jpg", exif=False)
    with pytest.raises(DecodeError, match="file not found"):
        decode_image("memory://decode/absent.jpg", exif=False)
    with pytest.raises(DecodeError, match="cannot be read"):
        decode_image(tmp_path, exif=False)
    with pytest.raises(DecodeError, match=r"8 x 6 pixels exceed the limit of 47 pixels; \?max_pixels=N"):
        decode_image(encoded(Image.fromarray(COLOUR)), exif=False, max_pixels=47)


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    header = b"IHDR" + struct.pack(">2I5B", 20_000, 20_000, 1, 0, 0, 0, 0)
    bomb = PNG[:12] + header + struct.pack(">I", zlib.crc32(header)) + PNG[33:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DecodeError, match="pixels"):
            decode_image(bomb, exif=False)


def test_unknown_protocol_is_an_input_error() -> None:
    with pytest.raises(InputError, match="nonsense://"):
        decode_image("nonsense://bucket/a.jpg", exif=False)


def test_an_exif_rotation_that_explains_the_size_is_named(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "turned.png").write_bytes(encoded(Image.fromarray(COLOUR), "PNG", exif=exif))
    (tmp_path / "plain.png").write_bytes(PNG)
    upright, plain = str(tmp_path / "turned.png"), str(tmp_path / "plain.png")
    assert decode_record(ImageRecord("a", upright, (8, 6), ()), exif=True).shape == (8, 6, 3)
    for path, size, applied, cure in (
        (upright, (8, 6), False, r"EXIF-rotated: .* add \?exif=true"),
        (upright, (6, 8), True, r"was applied: .* \?exif=false"),
        (plain, (8, 6), False, "seem to be exchanged"),
        (plain, (7, 7), False, "the data set says 7 x 7$"),
    ):
        with pytest.raises(DecodeError, match=cure):
            decode_record(ImageRecord("a", path, size, ()), exif=applied)


def test_a_record_must_have_the_size_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(COLOUR)))
    record = ImageRecord("a", str(tmp_path / "a.png"), (6, 8), ())
    np.testing.assert_array_equal(decode_record(record, exif=False), COLOUR)
    with pytest.raises(DecodeError, match=r"8 x 6 pixels.*the data set says 6 x 8"):
        decode_record(ImageRecord("a", record.path, (8, 6), ()), exif=False)
