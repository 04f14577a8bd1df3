"""Masks, boxes and labels drawn on an image. Shapes are drawn enlarged, so that thin lines stay crisp."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data import rle
from data.truth import RLE

Colour = tuple[int, int, int]

LONG_SIDE = 640
"""Pictures are drawn at this long side at least, by a whole factor."""
MASK_OPACITY = 0.45


@dataclass(frozen=True)
class Shape:
    """One thing to draw: a mask (full-image RLE), a box (4,) xyxy, or both; `text` stands at the box's upper left."""

    colour: Colour
    box: np.ndarray | None = None
    mask: RLE | None = None
    text: str = ""


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
            _blend_mask(pixels, _enlarged(rle.decode(shape.mask), scale), shape.colour, line)
    canvas = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(canvas)
    for shape in reversed(shapes):
        if shape.box is not None:
            _draw_box(pen, shape.box * scale, shape.colour, line if shape.mask is None else 1)
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


def _blend_mask(pixels: np.ndarray, mask: np.ndarray, colour: Colour, line: int) -> None:
    """Translucent inside, solid contour within the mask's edge; in place."""
    inner = _eroded(mask, line)
    pixels[inner] = pixels[inner] * (1 - MASK_OPACITY) + np.array(colour) * MASK_OPACITY
    pixels[mask & ~inner] = colour


def _eroded(mask: np.ndarray, steps: int) -> np.ndarray:
    """Pixels further than `steps` (city-block distance) from whatever is outside the mask; outside the image counts."""
    for _ in range(steps):
        framed = np.pad(mask, 1)
        mask = mask & framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    return mask


def _draw_box(pen: ImageDraw.ImageDraw, box: np.ndarray, colour: Colour, line: int) -> None:
    x0, y0, x1, y1 = (float(v) for v in box)
    pen.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=line)


def _draw_labels(pen: ImageDraw.ImageDraw, shapes: Sequence[Shape], scale: int, size: tuple[int, int]) -> None:
    """Texts on a plate of the shape's colour; each moves down until it covers none before it. What is smaller than its
    plate stays without."""
    font = ImageFont.load_default(max(12, round(max(size) / 32)))
    taken: list[tuple[float, float, float, float]] = []
    for shape in shapes:
        if not shape.text:
            continue
        left, top, right, bottom = pen.textbbox((0, 0), shape.text, font=font)
        width, height = right - left + 8, bottom - top + 6
        if shape.box is not None and np.prod((shape.box[2:] - shape.box[:2]) * scale) < width * height:
            continue
        corner = (shape.box[:2] * scale) if shape.box is not None else np.zeros(2)
        x = min(max(0.0, float(corner[0])), max(0.0, size[0] - width))
        y = min(max(0.0, float(corner[1])), max(0.0, size[1] - height))
        while any(x < t[2] and t[0] < x + width and y < t[3] and t[1] < y + height for t in taken):
            y += height / 2
        if y + height > size[1]:
            continue  # no room: the contour has to do
        taken.append((x, y, x + width, y + height))
        pen.rectangle(taken[-1], fill=shape.colour)
        pen.text((x + 4 - left, y + 3 - top), shape.text, fill=text_colour(shape.colour), font=font)
