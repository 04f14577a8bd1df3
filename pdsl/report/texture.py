"""What tells shapes apart without colour: kinds of lines, fillings and marks."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from PIL import ImageDraw

Line = Literal["solid", "dashed", "dotted"]
Mark = Literal["tick", "cross", "ring"]

DASHES: Mapping[Line, tuple[int, int]] = {"dashed": (4, 3), "dotted": (1, 2)}
"""Length of a dash and of the gap behind it, in widths of the line."""
FAINT = 0.25


def draw_box(
    pen: ImageDraw.ImageDraw, box: np.ndarray, colour: tuple[int, int, int], width: int, line: Line = "solid"
) -> None:
    """The outline of `box` (4,) xyxy, within it."""
    x0, y0, x1, y1 = (float(v) for v in box)
    x1, y1 = max(x0, x1 - 1), max(y0, y1 - 1)
    if line == "solid":
        pen.rectangle((x0, y0, x1, y1), outline=colour, width=width)
        return
    left, top, right, bottom = (round(v) for v in (x0, y0, x1, y1))
    inset = width - 1
    dash, gap = (length * width for length in DASHES[line])
    for start in range(left, right + 1, dash + gap):
        end = min(start + dash - 1, right)
        pen.rectangle((start, top, end, min(top + inset, bottom)), fill=colour)
        pen.rectangle((start, max(bottom - inset, top), end, bottom), fill=colour)
    for start in range(top, bottom + 1, dash + gap):
        end = min(start + dash - 1, bottom)
        pen.rectangle((left, start, min(left + inset, right), end), fill=colour)
        pen.rectangle((max(right - inset, left), start, right, end), fill=colour)


def draw_mark(
    pen: ImageDraw.ImageDraw, corner: tuple[float, float], side: float, mark: Mark, colour: tuple[int, int, int]
) -> None:
    """A mark in the square of `side` pixels at its upper left `corner`."""
    x, y = corner
    width = max(2, round(side / 6))
    if mark == "ring":
        pen.ellipse((x, y, x + side, y + side), outline=colour, width=width)
    elif mark == "tick":
        pen.line([(x, y + side * 0.55), (x + side * 0.35, y + side * 0.95), (x + side, y + side * 0.05)], colour, width)
    else:
        pen.line([(x, y), (x + side, y + side)], colour, width)
        pen.line([(x, y + side), (x + side, y)], colour, width)


def _even(shape: tuple[int, int], width: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def _striped(shape: tuple[int, int], width: int) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.where((rows + columns) % (6 * width) < 2 * width, 2.0, FAINT).astype(np.float32)


def _dotted(shape: tuple[int, int], width: int) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    period, radius = 5 * width, 1.4 * width
    distance = np.hypot(rows % period - period / 2, columns % period - period / 2)
    return np.where(distance < radius, 2.0, FAINT).astype(np.float32)


PATTERNS: Mapping[Line, Callable[[tuple[int, int], int], np.ndarray]] = {
    "solid": _even,
    "dashed": _striped,
    "dotted": _dotted,
}
"""Filling of a mask by the line of its box: (H, W) float32, 0..2, how much of the usual opacity each pixel gets."""
