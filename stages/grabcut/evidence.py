"""Log odds that a cell of a box belongs to the box's object, added up from contours, regions and colours.

What varies slowly, enclosure and colour, is computed on 28 x 28 cells and interpolated; what the regions say has their
outlines, on 56 x 56.
"""

from typing import NamedTuple

import numpy as np

from data.masks import MASK_SIDE
from stages.compiled import compiled, inlined
from stages.grabcut.codebook import colour_ratio
from stages.grabcut.geodesic import enclosure_evidence
from stages.grabcut.image_model import ImageModel
from stages.grabcut.parameters import ColourCutParams
from stages.grabcut.regions import Regions, containment_evidence, mean_by_leaf
from stages.grabcut.sampling import blurred, cell_index, halvings, seen, upsampled
from stages.grabcut.tuples import tuple_evidence

COARSE = 28
"""Cells along each side on which enclosure and colours are computed; a divisor of MASK_SIDE."""

MARGIN = 4
"""Cells of context around them: 14 % of the box's side. What is seen there is background."""

ESTIMATES = 2
"""Estimates of the colour models; a third changes less than 0.001 of the mean IoU."""


class Weights(NamedTuple):
    """Weights of the evidence, see `ColourCutParams`."""

    bias: float
    enclosure: float
    containment: float
    fit: float
    colour: float
    region_colour: float


def boxes_evidence(model: ImageModel, boxes: np.ndarray, params: ColourCutParams) -> np.ndarray:
    """Log odds (n, 56, 56) float32 of the cells of `boxes` (n, 4) float64 xyxy, which have an area."""
    weights = Weights(*(float(getattr(params, name)) for name in Weights._fields))
    return _all(boxes, model, weights)


@compiled
def _all(boxes: np.ndarray, model: ImageModel, weights: Weights) -> np.ndarray:
    evidence = np.empty((len(boxes), MASK_SIDE, MASK_SIDE), np.float32)
    for i in range(len(boxes)):
        _one(boxes[i], model, weights, evidence[i])
    return evidence


@inlined
def _one(box: np.ndarray, model: ImageModel, weights: Weights, evidence: np.ndarray) -> None:
    """Write to `evidence` (56, 56) float32."""
    size, scale, regions = model.size, model.scale, model.regions
    left, top, right, bottom = box[0], box[1], box[2], box[3]
    seen_rows, seen_columns = seen(top, bottom, COARSE, MARGIN, size[0]), seen(left, right, COARSE, MARGIN, size[1])
    level = halvings(min((right - left) * scale[0], (bottom - top) * scale[1]), COARSE, len(model.shape))
    rim = slice(MARGIN - 1, MARGIN + COARSE + 1)

    share = 0.5**level
    start, height, width = model.start[level], model.shape[level, 0], model.shape[level, 1]
    rows = cell_index(top, bottom, COARSE, MARGIN, scale[1] * share, height)
    columns = cell_index(left, right, COARSE, MARGIN, scale[0] * share, width)
    word = _gather(model.word, start, width, rows, columns)
    strength = _gather(model.contour, start, width, rows[rim], columns[rim])
    enclosure = enclosure_evidence(strength, _both(seen_rows[rim], seen_columns[rim]))

    working = np.array([left * scale[0], top * scale[1], right * scale[0], bottom * scale[1]])
    height, width = regions[0].leaf.shape
    rows = cell_index(top, bottom, COARSE, 0, scale[1], height)
    columns = cell_index(left, right, COARSE, 0, scale[0], width)
    by_leaf = _leaf_evidence(regions, working, weights)
    leaf = _leaves(regions, rows, columns)
    of_leaf = np.zeros_like(by_leaf)
    visible = _both(seen_rows, seen_columns)
    colour = _colour_evidence(word, visible, model.affinity, enclosure, by_leaf, leaf, of_leaf, weights)

    slow = np.empty((COARSE, COARSE), np.float32)
    for y in range(COARSE):
        for x in range(COARSE):
            slow[y, x] = np.float32(weights.bias) + np.float32(weights.colour) * colour[y * COARSE + x]
            slow[y, x] += np.float32(weights.enclosure) * enclosure[y, x]
    fine = upsampled(slow, MASK_SIDE // COARSE)
    rows = cell_index(top, bottom, MASK_SIDE, 0, scale[1], height)
    columns = cell_index(left, right, MASK_SIDE, 0, scale[0], width)
    for k in range(len(regions)):
        leaves = regions[k].leaf
        for y in range(MASK_SIDE):
            for x in range(MASK_SIDE):
                here = leaves[rows[y], columns[x]]
                fine[y, x] += by_leaf[k, here] + of_leaf[k, here]
    blurred(fine, evidence)


@inlined
def _leaf_evidence(regions: tuple[Regions, ...], box: np.ndarray, weights: Weights) -> np.ndarray:
    """What containment and fit say of each leaf of each hierarchy: (T, L) float32. box: (4,) in working pixels."""
    trees, most = len(regions), 0
    for k in range(trees):
        most = max(most, len(regions[k].area))
    by_leaf = np.empty((trees, most), np.float32)
    for k in range(trees):
        tree = regions[k]
        containment = containment_evidence(tree.runs, tree.leaf.shape[1], tree.parent, tree.area, box)
        fit = tuple_evidence(tree.tuples, tree.parent, box)
        for i in range(len(fit)):
            by_leaf[k, i] = (weights.containment * containment[i] + weights.fit * fit[i]) / trees
    return by_leaf


@inlined
def _leaves(regions: tuple[Regions, ...], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The leaf of each cell in each hierarchy: (T, cells) int32."""
    leaf = np.empty((len(regions), len(rows) * len(columns)), np.int32)
    for k in range(len(regions)):
        leaves = regions[k].leaf
        for y in range(len(rows)):
            for x in range(len(columns)):
                leaf[k, y * len(columns) + x] = leaves[rows[y], columns[x]]
    return leaf


@compiled
def _colour_evidence(
    word: np.ndarray,
    visible: np.ndarray,
    affinity: np.ndarray,
    enclosure: np.ndarray,
    by_leaf: np.ndarray,
    leaf: np.ndarray,
    of_leaf: np.ndarray,
    weights: Weights,
) -> np.ndarray:
    """Log ratio of the colours of each cell (COARSE^2,) float32; writes what they say of each leaf to `of_leaf`."""
    trees, cells = leaf.shape
    prior, evidence = np.empty(cells), np.empty(cells)
    for i in range(cells):
        prior[i] = weights.bias + np.float32(weights.enclosure) * enclosure[i // COARSE, i % COARSE]
        for k in range(trees):
            prior[i] += by_leaf[k, leaf[k, i]]
        evidence[i] = prior[i]
    foreground, colour = np.empty((COARSE, COARSE)), np.empty(cells, np.float32)
    for _ in range(ESTIMATES):
        for i in range(cells):
            foreground[i // COARSE, i % COARSE] = 1 / (1 + np.exp(-evidence[i]))
        ratio = colour_ratio(word, foreground, MARGIN, visible, affinity)
        for i in range(cells):
            colour[i] = ratio[word[MARGIN + i // COARSE, MARGIN + i % COARSE]]
            evidence[i] = prior[i] + np.float32(weights.colour) * colour[i]
        for k in range(trees):
            mean = mean_by_leaf(colour, leaf[k], of_leaf.shape[1])
            for j in range(len(mean)):
                of_leaf[k, j] = np.float32(weights.region_colour / trees) * mean[j]
            for i in range(cells):
                evidence[i] += of_leaf[k, leaf[k, i]]
    return colour


@compiled
def _gather(source: np.ndarray, start: int, width: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Of the map of `width` that begins in `source` at `start` the pixels of `rows` and `columns`."""
    values = np.empty((len(rows), len(columns)), source.dtype)
    for y in range(len(rows)):
        for x in range(len(columns)):
            values[y, x] = source[start + rows[y] * width + columns[x]]
    return values


@compiled
def _both(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(len(rows), len(columns)) bool: which cells lie in a row and a column that are True."""
    both = np.empty((len(rows), len(columns)), np.bool_)
    for y in range(len(rows)):
        for x in range(len(columns)):
            both[y, x] = rows[y] and columns[x]
    return both
