"""The one decoder of both halves: any image file to RGB uint8, or a DecodeError that says why not."""

import errno
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from data.errors import InputError, system_advice
from data.files import irregular_kind, is_url, read_remote
from data.records import GREY_BITS, MAX_PIXELS, ImageRecord

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "JPEG2000", "AVIF")
"""Raster formats only: Pillow would start an external interpreter for PostScript."""
for _format in ("Jpeg", "Png", "Bmp", "Gif", "Ppm", "Tiff", "WebP", "Jpeg2K", "Avif"):
    import_module(f"PIL.{_format}ImagePlugin")  # registers the format; Pillow itself loads only the commonest

ORIENTATION_TAG = 0x0112
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""

BYTES_PER_PIXEL = 10
"""What decoding takes."""
Source = str | Path | bytes | IO[bytes]


class DecodeError(Exception):
    """An image cannot be decoded. The message is a short reason without the path: the caller knows which image."""


def decode_image(source: Source, *, exif: bool, max_pixels: int = MAX_PIXELS, grey_bits: int = GREY_BITS) -> np.ndarray:
    """Pixels of an image: (H, W, 3) uint8 RGB.

    source: local path, fsspec URL, the file's bytes or a binary file object.
    exif: apply the EXIF orientation (a TIFF file's own orientation tag is always applied).
    max_pixels: limit on height x width, checked before pixels are decoded; decoding takes about 10 bytes a pixel.
    grey_bits: bits, 9 to 16, that 16-bit grey samples use: 12 for the 12-bit data of many cameras and scanners.

    Grey and 1-bit are repeated over the channels, palettes looked up, 16-bit samples scaled by the range of `grey_bits`
    (their upper 8 bits), CMYK and YCCK converted without a colour profile, alpha dropped, of an animation the first
    frame taken.

    Raises DecodeError (missing, unreadable, empty, not an image, truncated, too large) and InputError where a URL's
    protocol is unknown, its package is not installed, or its store does not answer for a minute: that says nothing of
    the image.
    """
    with _opened(source, max_pixels) as image:
        turn = TRANSPOSITIONS.get(_orientation(image)) if exif else None
        rgb = _to_rgb(image, grey_bits)
        return np.array(rgb if turn is None else rgb.transpose(turn))


def decode_record(
    record: ImageRecord,
    *,
    exif: bool,
    max_pixels: int = MAX_PIXELS,
    grey_bits: int = GREY_BITS,
    content: bytes | None = None,
) -> np.ndarray:
    """Pixels of a listed image: (H, W, 3) uint8 RGB; a size other than the record's is a DecodeError as well.

    content: the bytes of its file, where the caller has read them already.
    """
    source = record.path if content is None else content
    image = decode_image(source, exif=exif, max_pixels=max_pixels, grey_bits=grey_bits)
    if (height_width := image.shape[:2]) != tuple(record.size):
        found, listed = (f"{w} x {h}" for h, w in (height_width, record.size))
        cure = _cure_for_size(record, exif)
        raise DecodeError(f"the file is {found} pixels (width x height), the data set says {listed}{cure}")
    return image


def _cure_for_size(record: ImageRecord, exif: bool) -> str:
    """What explains another size than the record's, where something does."""
    if image_size(record.path, exif=not exif) == tuple(record.size):
        if exif:
            return "; its EXIF rotation was applied: annotations of the unrotated picture need ?exif=false in the SPEC"
        return "; it is EXIF-rotated: for annotations drawn on the upright picture add ?exif=true to the SPEC"
    if image_size(record.path, exif=exif)[::-1] == tuple(record.size):
        return "; width and height seem to be exchanged there"
    return ""


def allow_pixels(limit: int) -> None:
    """Let Pillow open images of `limit` pixels: its own bound, 178 million, holds for the whole process."""
    if Image.MAX_IMAGE_PIXELS is not None and limit > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = -(-limit // 2)


def image_size(source: Source, *, exif: bool) -> tuple[int, int]:
    """(height, width) as `decode_image` would deliver it, from the header alone. Raises as decode_image does."""
    with _opened(source, None) as image:
        width, height = image.size
        return (width, height) if exif and _orientation(image) >= 5 else (height, width)


@contextmanager
def _opened(source: Source, max_pixels: int | None) -> Iterator[Image.Image]:
    """The lazily opened image; whatever goes wrong inside the block becomes a DecodeError, but for what is wrong with
    the machine: too many open files is an InputError, too little memory a MemoryError."""
    needed = 0
    if max_pixels is not None:
        allow_pixels(max_pixels)
    try:
        # Pillow's warnings concern its own pixel limit and damaged metadata: ours is `max_pixels`.
        with warnings.catch_warnings(action="ignore"), _stream(source) as stream:
            if not stream.read(1):
                raise DecodeError("empty file")
            stream.seek(0)
            with Image.open(stream, formats=FORMATS) as image:
                width, height = image.size
                needed = width * height * BYTES_PER_PIXEL
                if max_pixels is not None and width * height > max_pixels:
                    raise DecodeError(
                        f"{width} x {height} pixels exceed the limit of {max_pixels:,} pixels; ?max_pixels=N in the "
                        "SPEC raises it"
                    )
                yield image
    except (DecodeError, InputError):
        raise
    except FileNotFoundError:
        raise DecodeError("file not found") from None
    except MemoryError as error:
        bytearray(needed)  # raises it again where memory is short; else the file asks for more than its picture takes
        raise DecodeError("damaged image (it asks for more memory than its size needs)") from error
    except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise DecodeError(f"file cannot be read ({error.strerror or error})") from None
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise InputError(f"{error.filename}: {system_advice(error)}") from error
        if isinstance(error, UnidentifiedImageError):
            raise DecodeError("not an image of a known format") from None
        raise DecodeError(f"damaged or truncated image ({error or type(error).__name__})") from error
    except Image.DecompressionBombError as error:
        raise DecodeError(f"too many pixels ({error})") from None
    except Exception as error:  # decoders fed with damaged bytes raise anything: SyntaxError, struct.error …
        raise DecodeError(f"damaged or truncated image ({error or type(error).__name__})") from error


@contextmanager
def _stream(source: Source) -> Iterator[IO[bytes]]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source)
    elif isinstance(source, str | Path):
        with io.BytesIO(read_remote(str(source))) if is_url(source) else _open_regular(Path(source)) as stream:
            yield stream
    else:
        yield source


def _open_regular(path: Path) -> IO[bytes]:
    """A file opened; a named pipe would wait for ever, a device may never end. Raises OSError as `open` does."""
    if kind := irregular_kind(path):
        raise DecodeError(f"a {kind}, not a file")
    return path.open("rb")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; 1 where there is none or it is unreadable."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # damaged metadata raise anything and do not matter
        return 1
    return value if isinstance(value, int) and value in TRANSPOSITIONS else 1


def _to_rgb(image: Image.Image, grey_bits: int) -> Image.Image:
    """Any Pillow mode to RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        return _wide_grey(image, grey_bits)
    if image.mode in ("P", "PA", "RGBa", "La"):  # directly to RGB would apply or warn of the transparency
        image = image.convert({"RGBa": "RGBA", "La": "LA"}.get(image.mode, "RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _wide_grey(image: Image.Image, bits: int) -> Image.Image:
    """16-bit grey (Pillow's modes I;16… and, for some formats, I): the upper 8 of `bits`, in every channel."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
        raise DecodeError("32-bit samples have no stated range; convert the image to 8 or 16 bits")
    if values.max() >> bits:
        raise DecodeError(f"a sample is {values.max()}, more than {bits} bits hold; correct ?grey_bits in the SPEC")
    return Image.fromarray((values.astype(np.uint16) >> (bits - 8)).astype(np.uint8)).convert("RGB")
