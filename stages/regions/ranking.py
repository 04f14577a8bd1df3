"""How many objects to expect at each candidate: a log-linear intensity of a few features, its weights fixed here."""

from collections.abc import Mapping

import numpy as np

from stages.compiled import compiled
from stages.regions.equal_rows import equal_rows
from stages.regions.features import Candidates

RING = 0.2
"""The ring around a box, and the frame that is left out for its middle, as a share of its sides."""

WEIGHTS: Mapping[str, float] = {
    "inner": -1.582,
    "outline": 3.428,
    "compactness": -0.105,
    "log_first_merge": 0.212,
    "log_last_merge": 0.517,
    "fill": 0.046,
    "touched_sides": 0.441,
    "log_share": -1.133,
    "log_share^2": -0.097,
    "contour_inside": 6.587,
    "contour_middle": -3.512,
    "contour_ring": -3.065,
    "log_agreement": -0.083,
    "hierarchy_2": -0.312,
    "hierarchy_3": -0.796,
}
"""Logarithm of the expected number of objects = sum of weight x feature. The output of `fit_ranking`."""

AGREEMENT_CELL = 0.3
"""Boxes agree if their sides fall into one half octave and their centres into one cell of this share of the sides."""


def log_intensity(candidates: Candidates, size: tuple[int, int], contour: np.ndarray) -> np.ndarray:
    """Logarithm of the expected number of objects at each candidate, up to a constant of all images: (M,) float64.

    size: (height, width) of the image; contour: (h, w) float32, its contour map at any working size.
    """
    features, total = rank_features(candidates, size, contour), np.zeros(len(candidates.box))
    for name, weight in WEIGHTS.items():
        total = total + weight * features[name]
    return total


def rank_features(candidates: Candidates, size: tuple[int, int], contour: np.ndarray) -> dict[str, np.ndarray]:
    """The features by name, (M,) each; `log_intensity` explains the arguments."""
    box = candidates.box.astype(np.float64)
    height, width = size
    sides = box[:, 2:] - box[:, :2]
    log_share = np.log(sides.prod(1) / (height * width))
    touched = (box[:, :2] <= 0).sum(1) + (box[:, 2:] >= np.array([width, height])).sum(1)
    inside, middle, ring = contour_in_boxes(contour, box, size)
    return {
        "inner": candidates.inner,
        "outline": candidates.outline,
        "compactness": candidates.compactness,
        "log_first_merge": np.log(np.maximum(candidates.first_merge, 1e-4)),
        "log_last_merge": np.log(np.maximum(candidates.last_merge, 1e-4)),
        "fill": candidates.fill,
        "touched_sides": touched,
        "log_share": log_share,
        "log_share^2": log_share**2,
        "contour_inside": inside,
        "contour_middle": middle,
        "contour_ring": ring,
        "log_agreement": np.log(box_agreement(box, AGREEMENT_CELL)),
        "hierarchy_2": candidates.hierarchy == 2,
        "hierarchy_3": candidates.hierarchy == 3,
    }


def contour_in_boxes(
    contour: np.ndarray, box: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of `contour` (h, w) in each box, in its middle and in a ring around it: (M,) float64 each.

    box: (M, 4) in pixels of an image of `size` (height, width).
    """
    height, width = contour.shape
    scaled = box * np.array([width / size[1], height / size[0]] * 2)
    margin = RING * np.concatenate([scaled[:, :2] - scaled[:, 2:], scaled[:, 2:] - scaled[:, :2]], 1)
    integral = _integral(contour)
    sums, areas = zip(*(_sums(integral, b) for b in (scaled, scaled - margin, scaled + margin)), strict=True)
    ring = (sums[2] - sums[0]) / np.maximum(areas[2] - areas[0], 1)
    return sums[0] / areas[0], sums[1] / areas[1], ring


@compiled
def _integral(contour: np.ndarray) -> np.ndarray:
    """(h + 1, w + 1) float64: at (y, x) the sum of `contour` (h, w) above and on the left of it."""
    height, width = contour.shape
    integral, column = np.zeros((height + 1, width + 1)), np.zeros(width)
    for y in range(height):
        total = 0.0
        for x in range(width):
            column[x] += contour[y, x]
            total += column[x]
            integral[y + 1, x + 1] = total
    return integral


@compiled
def _sums(integral: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum over the pixels of each box, at least one, and their number."""
    height, width = integral.shape[0] - 1, integral.shape[1] - 1
    total, area = np.empty(len(box)), np.empty(len(box), np.int64)
    for i in range(len(box)):
        x0, y0 = int(min(max(box[i, 0], 0), width - 1)), int(min(max(box[i, 1], 0), height - 1))
        x1 = max(int(np.ceil(min(box[i, 2], width))), x0 + 1)
        y1 = max(int(np.ceil(min(box[i, 3], height))), y0 + 1)
        total[i] = integral[y1, x1] - integral[y0, x1] - integral[y1, x0] + integral[y0, x0]
        area[i] = (x1 - x0) * (y1 - y0)
    return total, area


def box_agreement(box: np.ndarray, cell: float) -> np.ndarray:
    """How many boxes share each box's cell of (centre, size), itself included: (M,) int64.

    Sides are binned by half octaves, centres by `cell` times the binned side.
    """
    level = np.round(2 * np.log2(np.maximum(box[:, 2:] - box[:, :2], 1e-3)))
    centre = np.round((box[:, :2] + box[:, 2:]) / 2 / (cell * 2 ** (level / 2)))
    _, group = equal_rows(np.concatenate([level, centre], 1))
    return np.bincount(group)[group]
