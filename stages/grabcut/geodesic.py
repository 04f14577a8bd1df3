"""Evidence of enclosure: is a cell cut off by contours from the box's rim, or from the box's middle?"""

import numpy as np
from numba import njit

STEP_COST = 0.005
"""Cost of a step where there is no contour at all, in units of a certain contour: paths stay short in flat areas."""

SWEEPS = 2
"""Rounds of two raster sweeps. More change no mask noticeably: a path that turns back often is long anyway."""

CORE_RADIUS = 0.13
"""Cells this near the middle (in half sides of the box) start as foreground for free."""

CORE_SLOPE = 0.4
"""Farther out, starting as foreground costs this share of the way across the box per half side of distance."""

SOFTEN = 0.02
"""Keeps the log odds within about +-4."""


@njit(cache=True)
def enclosure_evidence(contour: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Log ratio of the geodesic distances to the rim and to the middle.

    contour: (S + 2, S + 2) float, in [0, 1], of the box frame and a rim of one cell around it.
    visible: (S + 2, S + 2) bool, whether a cell lies in the image: what the image's edge cuts off is no background.
    Returns (S, S) float64, positive where the middle is nearer.
    """
    side = contour.shape[0]
    cost = np.empty((side, side))
    total = 0.0
    rim_seen = False
    for y in range(side):
        for x in range(side):
            cost[y, x] = STEP_COST + contour[y, x]
            total += cost[y, x]
            rim_seen |= _on_rim(y, x, side) and visible[y, x]
    crossing = total / (side * side) * (side - 2)
    to_rim, to_core = np.empty((side, side)), np.empty((side, side))
    for y in range(side):
        for x in range(side):
            is_background = _on_rim(y, x, side) and (visible[y, x] or not rim_seen)
            to_rim[y, x] = 0.0 if is_background else np.inf
            v, u = (2 * y + 1 - side) / (side - 2), (2 * x + 1 - side) / (side - 2)
            to_core[y, x] = CORE_SLOPE * crossing * max(np.sqrt(u * u + v * v) - CORE_RADIUS, 0.0)
    _spread(to_rim, cost)
    _spread(to_core, cost)
    evidence = np.empty((side - 2, side - 2))
    for y in range(side - 2):
        for x in range(side - 2):
            rim, core = to_rim[y + 1, x + 1], to_core[y + 1, x + 1]
            share = rim / (rim + core)
            evidence[y, x] = np.log((share + SOFTEN) / (1 - share + SOFTEN))
    return evidence


@njit(cache=True)
def _on_rim(y: int, x: int, side: int) -> bool:
    return y == 0 or x == 0 or y == side - 1 or x == side - 1


@njit(cache=True)
def _spread(distance: np.ndarray, cost: np.ndarray) -> None:
    """Geodesic distance transform in place: sweeps over the grid with 8 neighbours (Toivanen 1996)."""
    rows, columns = cost.shape
    for sweep in range(2 * SWEEPS):
        sign = -1 if sweep % 2 == 0 else 1
        for i in range(rows):
            y = i if sign < 0 else rows - 1 - i
            for j in range(columns):
                x = j if sign < 0 else columns - 1 - j
                best = distance[y, x]
                for dy, dx, length in ((0, 1, 1.0), (1, 1, 1.4142135), (1, 0, 1.0), (1, -1, 1.4142135)):
                    a, b = y + sign * dy, x + sign * dx
                    if 0 <= a < rows and 0 <= b < columns:
                        best = min(best, distance[a, b] + 0.5 * (cost[y, x] + cost[a, b]) * length)
                distance[y, x] = best
