"""Evidence of enclosure: is a cell cut off by contours from the box's rim, or from the box's middle?"""

import numpy as np

from stages.compiled import compiled

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


@compiled
def enclosure_evidence(contour: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Log ratio of the geodesic distances to the rim and to the middle.

    contour: (S + 2, S + 2) float32, in [0, 1], of the box frame and a rim of one cell around it.
    visible: (S + 2, S + 2) bool, whether a cell lies in the image: what the image's edge cuts off is no background.
    Returns (S, S) float32, positive where the middle is nearer.
    """
    side = contour.shape[0]
    cost = np.empty((side, side), np.float32)
    total = 0.0
    rim_seen = False
    for y in range(side):
        for x in range(side):
            cost[y, x] = STEP_COST + contour[y, x]
            total += cost[y, x]
            rim_seen |= _on_rim(y, x, side) and visible[y, x]
    crossing = total / (side * side) * (side - 2)
    distance = np.empty((side, side, 2), np.float32)
    for y in range(side):
        for x in range(side):
            is_background = _on_rim(y, x, side) and (visible[y, x] or not rim_seen)
            v, u = (2 * y + 1 - side) / (side - 2), (2 * x + 1 - side) / (side - 2)
            distance[y, x, 0] = 0.0 if is_background else np.inf
            distance[y, x, 1] = CORE_SLOPE * crossing * max(np.sqrt(u * u + v * v) - CORE_RADIUS, 0.0)
    spread(distance, cost)
    evidence = np.empty((side - 2, side - 2), np.float32)
    for y in range(side - 2):
        for x in range(side - 2):
            rim, core = distance[y + 1, x + 1]
            share = rim / (rim + core)
            evidence[y, x] = np.log((share + SOFTEN) / (1 - share + SOFTEN))
    return evidence


@compiled
def _on_rim(y: int, x: int, side: int) -> bool:
    return y == 0 or x == 0 or y == side - 1 or x == side - 1


@compiled
def spread(distance: np.ndarray, cost: np.ndarray) -> None:
    """Two geodesic distance transforms in place: sweeps over the grid with 8 neighbours (Toivanen 1996).

    distance: (S, S, 2) float32, where it starts; cost: (S, S) float32 of a step of length 1 within a cell.
    """
    side = len(cost)
    diagonal = np.float32(0.5 * 1.4142135)
    half = np.float32(0.5)
    for sweep in range(2 * SWEEPS):
        forth = sweep % 2 == 0
        step = -1 if forth else 1
        for i in range(side):
            y = i if forth else side - 1 - i
            for j in range(side):
                x = j if forth else side - 1 - j
                first, second, here = distance[y, x, 0], distance[y, x, 1], cost[y, x]
                for k in range(4):
                    a, b = (y, x + step) if k == 0 else (y + step, x + (2 - k) * step)
                    if 0 <= a < side and 0 <= b < side:
                        length = (half if k == 0 or k == 2 else diagonal) * (here + cost[a, b])
                        first = min(first, distance[a, b, 0] + length)
                        second = min(second, distance[a, b, 1] + length)
                distance[y, x, 0], distance[y, x, 1] = first, second
