"""Outlines of the objects in synthetic scenes: slender or hollow, so that a filled box is a poor mask of them.

Every function draws one random shape: a list of closed polygons (n, 2) float64 in arbitrary units, the first the
outline, the others holes.
"""

import numpy as np

Outline = list[np.ndarray]


def star(rng: np.random.Generator) -> Outline:
    """Five to seven slightly uneven points."""
    points = int(rng.integers(5, 8))
    angle = np.arange(2 * points) * np.pi / points
    radius = np.where(np.arange(2 * points) % 2, rng.uniform(0.34, 0.46), 1.0) * rng.uniform(0.9, 1.1, 2 * points)
    return [_polar(radius, angle)]


def crescent(rng: np.random.Generator) -> Outline:
    """A disc less a disc."""
    half, depth = rng.uniform(1.75, 2.2), rng.uniform(0.2, 0.5)
    outer = np.linspace(-half, half, 40)
    tip_x, tip_y = np.cos(half), np.sin(half)
    inner = np.linspace(-1, 1, 40)
    bend = tip_x + (depth + 0.55) * (1 - inner**2) * (1 - tip_x) / 2
    return [np.concatenate([_polar(np.ones(40), outer), np.stack([bend, -inner * tip_y], 1)])]


def gear(rng: np.random.Generator) -> Outline:
    """A ring with teeth."""
    teeth = int(rng.integers(7, 11))
    angle = np.linspace(0, 2 * np.pi, 12 * teeth, endpoint=False)
    radius = np.where(np.arange(12 * teeth) % 12 < 6, 1.0, rng.uniform(0.78, 0.86))
    hole = np.full(48, rng.uniform(0.46, 0.58))
    return [_polar(radius, angle), _polar(hole, np.linspace(0, 2 * np.pi, 48, endpoint=False))]


def vine(rng: np.random.Generator) -> Outline:
    """A thick wavy line."""
    x = np.linspace(-1, 1, 60)
    wave = rng.uniform(0.3, 0.55) * np.sin(rng.uniform(3.2, 5.2) * x + rng.uniform(0, 2 * np.pi))
    path = np.stack([x, wave], 1)
    along = np.gradient(path, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], 1) / np.linalg.norm(along, axis=1, keepdims=True)
    width = rng.uniform(0.13, 0.19) * np.sqrt(np.sin(np.linspace(0.15, np.pi - 0.15, 60)))[:, None]
    return [np.concatenate([path + width * across, (path - width * across)[::-1]])]


def cross(rng: np.random.Generator) -> Outline:
    """Two bars."""
    arm, centre = rng.uniform(0.2, 0.28), rng.uniform(-0.25, 0.25)
    low, high, tip = centre - arm, centre + arm, 0.8
    right = [(arm, -1.0), (arm, low), (tip, low), (tip, high), (arm, high), (arm, 1.0)]
    return [np.array(right + [(-x, y) for x, y in reversed(right)])]


def boomerang(rng: np.random.Generator) -> Outline:
    """Two arms that meet at an angle, rounded."""
    opening, width = rng.uniform(0.7, 1.1), rng.uniform(0.26, 0.36)
    t = np.linspace(-1, 1, 50)
    path = np.stack([np.sqrt(t**2 + 0.03) * np.cos(opening), t * np.sin(opening)], 1)
    along = np.gradient(path, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], 1) / np.linalg.norm(along, axis=1, keepdims=True)
    taper = width * np.sqrt(1 - 0.9 * t**4)[:, None] / 1.6
    return [np.concatenate([path + taper * across, (path - taper * across)[::-1]])]


def place(outline: Outline, rng: np.random.Generator, extent: float) -> Outline:
    """The outline turned, mirrored and stretched at random; its box starts at 0, its longer side is `extent`."""
    angle, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.0)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([1.0, stretch * rng.choice([-1, 1])])
    turned = [polygon @ turn.T for polygon in outline]
    low, high = turned[0].min(0), turned[0].max(0)
    return [(polygon - low) * (extent / (high - low).max()) for polygon in turned]


def _polar(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
