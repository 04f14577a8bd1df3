"""Log odds that a cell of a box belongs to the box's object, added up from contours, regions and colours.

What varies slowly, enclosure and colour, is computed on 28 x 28 cells and interpolated; what the regions say has their
outlines, on 56 x 56.
"""

from typing import NamedTuple

import numpy as np

from data.masks import MASK_SIDE
from stages.compiled import compiled
from stages.grabcut.codebook import colour_ratio
from stages.grabcut.geodesic import enclosure_evidence
from stages.grabcut.image_model import ImageModel
from stages.grabcut.parameters import ColourCutParams
from stages.grabcut.regions import containment_evidence, mean_by_leaf
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
        evidence[i] = _one(boxes[i], model, weights)
    return evidence


@compiled
def _one(box: np.ndarray, model: ImageModel, weights: Weights) -> np.ndarray:
    """(56, 56) float32."""
    size, scale, regions = model.size, model.scale, model.regions
    left, top, right, bottom = box[0], box[1], box[2], box[3]
    visible = np.outer(seen(top, bottom, COARSE, MARGIN, size[0]), seen(left, right, COARSE, MARGIN, size[1]))
    level = halvings(min((right - left) * scale[0], (bottom - top) * scale[1]), COARSE, model.levels)
    inner = slice(MARGIN, MARGIN + COARSE)
    rim = slice(MARGIN - 1, MARGIN + COARSE + 1)

    share = 0.5**level
    height, width = model.contour[level].shape
    rows = cell_index(top, bottom, COARSE, MARGIN, scale[1] * share, height)
    columns = cell_index(left, right, COARSE, MARGIN, scale[0] * share, width)
    word = _gather(model.word[level], rows, columns)
    enclosure = enclosure_evidence(_gather(model.contour[level], rows[rim], columns[rim]), visible[rim, rim])

    working = np.array([left * scale[0], top * scale[1], right * scale[0], bottom * scale[1]])
    trees = len(regions)
    height, width = regions[0].leaf.shape
    rows = cell_index(top, bottom, COARSE, 0, scale[1], height)
    columns = cell_index(left, right, COARSE, 0, scale[0], width)
    by_leaf = np.empty((trees, max([len(tree.area) for tree in regions])), np.float32)
    leaf = np.empty((trees, COARSE * COARSE), np.int32)
    prior = weights.bias + np.float32(weights.enclosure) * enclosure.ravel()
    for k in range(trees):
        tree = regions[k]
        containment = containment_evidence(tree.leaf, tree.parent, tree.area, working)
        fit = tuple_evidence(tree.tuples, tree.parent, working)
        for i in range(len(fit)):
            by_leaf[k, i] = (weights.containment * containment[i] + weights.fit * fit[i]) / trees
        leaf[k] = _gather(tree.leaf, rows, columns).ravel()
        for i in range(COARSE * COARSE):
            prior[i] += by_leaf[k, leaf[k, i]]

    inner_word = np.ascontiguousarray(word[inner, inner]).ravel()
    evidence, of_leaf = prior, np.zeros_like(by_leaf)
    for _ in range(ESTIMATES):
        foreground = 1 / (1 + np.exp(-evidence))
        colour = colour_ratio(word, foreground.reshape(COARSE, COARSE), MARGIN, visible, model.affinity)[inner_word]
        evidence = prior + np.float32(weights.colour) * colour
        for k in range(trees):
            of_leaf[k] = np.float32(weights.region_colour / trees) * mean_by_leaf(colour, leaf[k], of_leaf.shape[1])
            for i in range(COARSE * COARSE):
                evidence[i] += of_leaf[k, leaf[k, i]]

    slow = np.float32(weights.bias) + np.float32(weights.colour) * colour
    slow += np.float32(weights.enclosure) * enclosure.ravel()
    fine = upsampled(slow.reshape(COARSE, COARSE), MASK_SIDE // COARSE)
    rows = cell_index(top, bottom, MASK_SIDE, 0, scale[1], height)
    columns = cell_index(left, right, MASK_SIDE, 0, scale[0], width)
    for k in range(trees):
        value, leaves = by_leaf[k] + of_leaf[k], regions[k].leaf
        for y in range(MASK_SIDE):
            for x in range(MASK_SIDE):
                fine[y, x] += value[leaves[rows[y], columns[x]]]
    return blurred(fine)


@compiled
def _gather(source: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    values = np.empty((len(rows), len(columns)), source.dtype)
    for y in range(len(rows)):
        for x in range(len(columns)):
            values[y, x] = source[rows[y], columns[x]]
    return values
