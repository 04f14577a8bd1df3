"""Seed masks by `colour-cut`: GrabCut's idea, colour models and a graph cut, with priors that keep it from collapsing.

Evidence is a sum of log odds per cell of the box frame: enclosure by contours, regions of the image's hierarchy, and
the colour ratio, re-estimated once. The cut then runs once on 56 x 56 cells with 8 neighbours, and overlapping boxes
vote on each other's masks.
"""

import numpy as np
from numba import njit

from data.masks import MASK_SIDE
from stages.grabcut.box_window import sample_nearest, sample_window
from stages.grabcut.codebook import colour_evidence
from stages.grabcut.consensus import vote
from stages.grabcut.geodesic import enclosure_evidence
from stages.grabcut.grid_cut import minimum_cut
from stages.grabcut.image_model import ImageModel, build_image_model
from stages.grabcut.parameters import ColourCutParams
from stages.grabcut.regions import mean_by_leaf, region_evidence

UNIT = 1000
"""Capacities of the cut are integers: thousandths of a unit of log odds."""

ESTIMATES = 2
"""Estimates of the colour models; a third changes less than 0.001 of the mean IoU."""

FLAT = 0.1
"""Part of the smoothness that contrast does not take away."""

CONTRAST = 0.5
"""Fall of the smoothness with the squared colour difference, in units of its mean over the box (GrabCut's beta)."""

STRETCH = 2.5
"""Largest ratio by which a cell's shape weighs its links: an elongated box has elongated cells."""

SMALLEST = 0.03
"""A mask of less than this share of its box is a failure; the inscribed ellipse of 0.85 takes its place."""


def colour_cut_masks(image: np.ndarray, boxes: np.ndarray, params: ColourCutParams) -> np.ndarray:
    """Masks (n, 56, 56) bool, none of them empty, in the frames of `boxes` (n, 4) float64 xyxy, which have an area.

    image: (H, W, 3) uint8 RGB.
    """
    model = build_image_model(image, params)
    return vote(np.array([box_mask(model, box, params) for box in boxes]), boxes, params.vote_iou)


def box_mask(model: ImageModel, box: np.ndarray, params: ColourCutParams) -> np.ndarray:
    """Mask (56, 56) bool of one `box` (4,) float64 xyxy; never empty."""
    window = sample_window(model.pyramid, box, model.codebook.word, len(model.codebook.affinity))
    prior, leaf = _prior(model, box, params)
    evidence = prior
    for _ in range(ESTIMATES):
        colour = colour_evidence(window.word, _sigmoid(evidence), window.outside, model.codebook.affinity)
        by_region = mean_by_leaf(colour, leaf, model.regions.leaves)
        evidence = prior + params.colour * colour + params.region_colour * by_region
    stretch = np.sqrt((box[2] - box[0]) / (box[3] - box[1]))
    stretch = min(max(stretch, 1 / STRETCH), STRETCH)
    unary = np.rint((evidence - best_threshold(evidence)) * UNIT).astype(np.int32)
    mask = minimum_cut(unary, _links(window.rgb, params.smoothness * UNIT, stretch))
    return mask if mask.mean() >= SMALLEST else _ellipse()


def _prior(model: ImageModel, box: np.ndarray, params: ColourCutParams) -> tuple[np.ndarray, np.ndarray]:
    """Log odds (56, 56) from contours and regions, and the leaf (56, 56) of each cell."""
    height, width = model.size
    rows, columns = model.contour.shape
    scale = rows / height, columns / width
    regions = model.regions
    working = box * np.array([scale[1], scale[0], scale[1], scale[0]])
    containment, fit = region_evidence(regions.leaf, regions.parent, regions.area, regions.box, working)
    leaf = sample_nearest(regions.leaf, *scale, box, MASK_SIDE, 0)
    contour = sample_nearest(model.contour, *scale, box, MASK_SIDE, 1)
    enclosure = enclosure_evidence(contour, _visible(box, model.size))
    by_leaf = params.bias + params.containment * containment + params.fit * fit
    return by_leaf[leaf] + params.enclosure * enclosure, leaf


def best_threshold(evidence: np.ndarray) -> float:
    """The log odds above which cells must be called foreground so that the expected IoU with the truth is greatest.

    With cells independent, k of them chosen and p their probabilities, the expected IoU is close to
    sum(p chosen) / (k + sum(p not chosen)); the best choice of k cells takes the likeliest. Below 0 in unclear boxes,
    where a cell too many costs less than one too few; near 0 in clear ones.
    """
    ordered = np.sort(evidence, axis=None)[::-1]
    probability = _sigmoid(ordered)
    chosen = np.cumsum(probability)
    expected = chosen / (np.arange(1, len(ordered) + 1) + chosen[-1] - chosen)
    return float(ordered[np.argmax(expected)])


def _visible(box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(58, 58) bool: whether the centre of a cell, rim included, lies in an image of `size`."""
    t = (np.arange(-1, MASK_SIDE + 1) + 0.5) / MASK_SIDE
    ys, xs = box[1] + t * (box[3] - box[1]), box[0] + t * (box[2] - box[0])
    return ((ys >= 0) & (ys < size[0]))[:, None] & ((xs >= 0) & (xs < size[1]))[None]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _ellipse() -> np.ndarray:
    t = (2 * np.arange(MASK_SIDE) + 1) / MASK_SIDE - 1
    return t[:, None] ** 2 + t[None] ** 2 < 0.85**2


@njit(cache=True)
def _links(rgb: np.ndarray, strength: float, stretch: float) -> np.ndarray:
    """Pairwise costs (4, S, S) int32 for `minimum_cut`: right, below, below right, below left.

    stretch: square root of the box's width over its height; a link is as strong as the cell's border is long.
    """
    side = rgb.shape[0]
    shifts = ((0, 1), (1, 0), (1, 1), (1, -1))
    border = (1 / stretch, stretch, np.sqrt(0.5), np.sqrt(0.5))
    squared = np.zeros((4, side, side))
    total, count = 0.0, 0
    for d in range(4):
        dy, dx = shifts[d]
        for y in range(side - dy):
            for x in range(max(0, -dx), min(side, side - dx)):
                for c in range(3):
                    squared[d, y, x] += (rgb[y, x, c] - rgb[y + dy, x + dx, c]) ** 2
                total += squared[d, y, x]
                count += 1
    beta = CONTRAST / max(total / count, 1e-6)
    links = np.empty((4, side, side), np.int32)
    for d in range(4):
        for y in range(side):
            for x in range(side):
                share = FLAT + (1 - FLAT) * np.exp(-beta * squared[d, y, x])
                links[d, y, x] = int(strength * share * border[d])
    return links
