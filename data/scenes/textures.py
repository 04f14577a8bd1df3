"""Surfaces of synthetic scenes: patterns on objects, backgrounds with clutter. Values and RGB colours in 0..1."""

import colorsys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

Pattern = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def dots(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return ((u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < rng.uniform(0.07, 0.12)).astype(float)


def stripes(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (u % 1 < rng.uniform(0.35, 0.6)).astype(float)


def checks(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return ((np.floor(u) + np.floor(v)) % 2).astype(float)


def zigzag(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return ((u + np.abs(v % 2 - 1)) % 1 < 0.45).astype(float)


def speckle(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(u.shape) < 0.3).astype(float)


def grid(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return ((u % 1 < 0.25) | (v % 1 < 0.25)).astype(float)


def surface(
    pattern: Pattern, hues: tuple[float, float], size: tuple[int, int], pitch: float, rng: np.random.Generator
) -> np.ndarray:
    """A lit, patterned surface: (*size, 3) float. One half, across the longer side, is of each hue.

    `pitch` is the pattern's period in pixels.
    """
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(float)
    angle = rng.uniform(0, np.pi)
    u = (x * np.cos(angle) + y * np.sin(angle)) / pitch
    v = (y * np.cos(angle) - x * np.sin(angle)) / pitch
    blend = pattern(u, v, rng)[..., None]
    shade = 1.12 - 0.34 * (0.6 * y / max(height, 1) + 0.4 * x / max(width, 1))
    first, second = (_tones(hue, blend, rng) for hue in rng.permutation(hues))
    along = x / width if width >= height else y / height
    return np.where(along[..., None] < rng.uniform(0.42, 0.58), first, second) * shade[..., None]


def _tones(hue: float, blend: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light and dark tones of a hue, mixed by `blend` (h, w, 1): (h, w, 3)."""
    hue = (hue + rng.normal(0, 0.015)) % 1
    light = np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.55, 0.8), rng.uniform(0.85, 1.0)))
    dark = np.array(colorsys.hsv_to_rgb((hue + rng.uniform(-0.03, 0.03)) % 1, 0.9, rng.uniform(0.4, 0.6)))
    return light * (1 - blend) + dark * blend


def background(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A dull uneven ground with strokes and pebbles of dull colours: (*size, 3) float."""
    hue, value = rng.random(), rng.uniform(0.3, 0.75)
    tones = [_dull(rng, hue + rng.normal(0, 0.1), value + rng.uniform(-0.15, 0.15)) for _ in range(2)]
    weight = sum(_smooth_noise(size, cells, rng) * share for cells, share in ((2, 0.5), (6, 0.3), (24, 0.2)))
    ground = tones[0] + (tones[1] - tones[0]) * np.asarray(weight)[..., None]
    canvas = Image.fromarray((ground.clip(0, 1) * 255).astype(np.uint8))
    _scatter(canvas, rng, value)
    return np.asarray(canvas, np.float64) / 255


def _scatter(canvas: Image.Image, rng: np.random.Generator, value: float) -> None:
    draw = ImageDraw.Draw(canvas)
    unit = max(canvas.size) / 160
    for _ in range(int(rng.integers(6, 20))):
        colour = tuple(int(255 * c) for c in _dull(rng, rng.random(), value + rng.uniform(-0.3, 0.3)))
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
        dx, dy = rng.normal(0, 14, 2) * unit
        if rng.random() < 0.4:
            draw.line((x, y, x + dx, y + dy), fill=colour, width=max(1, round(rng.uniform(0.5, 3) * unit)))
        elif rng.random() < 0.5:
            rx, ry = rng.uniform(1, 7, 2) * unit
            draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=colour)
        else:
            corners = np.array([x, y]) + rng.normal(0, 7, (int(rng.integers(3, 6)), 2)) * unit
            draw.polygon([(float(cx), float(cy)) for cx, cy in corners], fill=colour)


def _dull(rng: np.random.Generator, hue: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.05, 0.28), float(np.clip(value, 0.12, 0.92))))


def _smooth_noise(size: tuple[int, int], cells: int, rng: np.random.Generator) -> np.ndarray:
    """Random values on a coarse grid, interpolated to `size` (height, width)."""
    coarse = Image.fromarray(rng.random((cells + 1, cells + 1)).astype(np.float32))
    return np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC), np.float64)
