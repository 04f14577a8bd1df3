"""Masks, boxes and labels drawn on an image. Shapes are drawn enlarged, so that thin lines stay crisp."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from data import rle
from data.truth import RLE
from pdsl.report.texture import PATTERNS, Line, Mark, draw_box, draw_mark

Colour = tuple[int, int, int]

LONG_SIDE = 640
"""Pictures are drawn at this long side at least, by a whole factor."""
MASK_OPACITY = 0.45


@dataclass(frozen=True)
class Shape:
    """One thing to draw: a mask (full-image RLE), a box (4,) xyxy, or both; `text` stands at the box's upper left.

    line: how a box is outlined, and with it how a mask is filled: evenly, striped or dotted. mark: stands before the
    text. Both say without colour what a shape is.
    """

    colour: Colour
    box: np.ndarray | None = None
    mask: RLE | None = None
    text: str = ""
    line: Line = "solid"
    mark: Mark | None = None


def draw(image: np.ndarray, shapes: Sequence[Shape], *, dim: float = 0.0, line: int = 3) -> Image.Image:
    """`image` (H, W, 3) uint8 with `shapes`, the first on top.

    dim: 0..1, how far the image is faded to grey, so that the shapes stand out. line: width of boxes and contours in a
    picture of LONG_SIDE pixels. Small images are enlarged by a whole factor (`picture_scale`).
    """
    scale = picture_scale((image.shape[0], image.shape[1]))
    canvas = Image.fromarray(image).resize((image.shape[1] * scale, image.shape[0] * scale), Image.Resampling.BICUBIC)
    line = max(1, round(line * max(canvas.size) / LONG_SIDE))
    pixels = _faded(np.asarray(canvas, np.float32), dim)
    for shape in reversed(shapes):
        if shape.mask is not None:
            _blend_mask(pixels, _enlarged(rle.decode(shape.mask), scale), shape, line)
    canvas = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(canvas)
    for shape in reversed(shapes):
        if shape.box is not None:
            thin = shape.mask is not None and shape.line == "solid"
            draw_box(pen, shape.box * scale, shape.colour, 1 if thin else line, shape.line)
    _draw_labels(pen, shapes, scale, canvas.size)
    return canvas


def picture_scale(size: tuple[int, int]) -> int:
    """Whole factor by which an image of `size` (height, width) is enlarged."""
    return max(1, round(LONG_SIDE / max(size)))


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever reads better on `background` (WCAG relative luminance)."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in background)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if luminance > 0.18 else (255, 255, 255)


def _faded(pixels: np.ndarray, dim: float) -> np.ndarray:
    grey = pixels.mean(-1, keepdims=True) * 0.8
    faded: np.ndarray = pixels * (1 - dim) + grey * dim
    return faded


def _enlarged(mask: np.ndarray, scale: int) -> np.ndarray:
    """A mask at `scale` times its size, with smooth instead of stepped edges."""
    if scale == 1:
        return mask
    size = (mask.shape[1] * scale, mask.shape[0] * scale)
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(grey) >= 128


def _blend_mask(pixels: np.ndarray, mask: np.ndarray, shape: Shape, line: int) -> None:
    """Translucent inside, solid contour within the mask's edge; in place."""
    inner = binary_erosion(mask, iterations=line)  # what lies outside the image counts as outside the mask
    opacity = MASK_OPACITY * PATTERNS[shape.line](mask.shape, line)
    pixels[inner] += (np.array(shape.colour) - pixels[inner]) * opacity[inner][:, None]
    pixels[mask & ~inner] = shape.colour


Plate = tuple[float, float, float, float]
"""Where a text stands: x0, y0, x1, y1 in the picture."""


def _draw_labels(pen: ImageDraw.ImageDraw, shapes: Sequence[Shape], scale: int, size: tuple[int, int]) -> None:
    """Every text on a plate of its shape's colour, at its box, where it covers none before it if there is a place."""
    font = ImageFont.load_default(max(12, round(min(max(size) / 32, min(size) / 20))))
    taken: list[Plate] = []
    for shape in shapes:
        if not shape.text:
            continue
        left, top, right, bottom = pen.textbbox((0, 0), shape.text, font=font)
        side = bottom - top if shape.mark else 0
        indent = 4 + (side + 4 if shape.mark else 0)
        width, height = right - left + indent + 4, bottom - top + 6
        box = np.zeros(4) if shape.box is None else shape.box * scale
        plate = min(_places(box, width, height, size), key=lambda place: sum(_shared(place, t) for t in taken))
        taken.append(plate)
        pen.rectangle(plate, fill=shape.colour)
        ink = text_colour(shape.colour)
        if shape.mark:
            draw_mark(pen, (plate[0] + 4, plate[1] + 3), side, shape.mark, ink)
        pen.text((plate[0] + indent - left, plate[1] + 3 - top), shape.text, fill=ink, font=font)


def _places(box: np.ndarray, width: float, height: float, size: tuple[int, int]) -> Iterator[Plate]:
    """Where the plate of a box (4,) may stand, the best place first, all within the picture of `size` (width, height).

    In the box's upper left corner if it is large enough to be seen beside its plate, else above it; then around it,
    then further and further below and above.
    """
    x0, y0, x1, y1 = (float(v) for v in box)
    small = (x1 - x0) * (y1 - y0) < 2 * width * height
    corners = [(x0, y0 - height), (x0, y1), (x1, y0), (x0 - width, y0)]
    corners.insert(len(corners) if small else 0, (x0, y0))
    steps = range(1, math.ceil(2 * size[1] / height))
    corners += [(x0, y0 + sign * step * height / 2) for step in steps for sign in (1, -1)]
    for left, top in corners:
        x, y = (max(0.0, min(v, limit)) for v, limit in ((left, size[0] - width), (top, size[1] - height)))
        yield x, y, x + width, y + height


def _shared(one: Plate, other: Plate) -> float:
    """Pixels that two plates have in common."""
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
