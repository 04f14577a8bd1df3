"""What colours say of candidates: how far a box, and the regions in it, differ from what surrounds them."""

from typing import NamedTuple

import numpy as np

from stages.compiled import compiled
from stages.regions.colour_words import ColourWords
from stages.regions.equal_rows import equal_rows
from stages.regions.histograms import difference, information, overlap, rarity, spread, subtract, total

NEAR, FAR = 0.25, 0.6
"""Widths of the rings around a box as shares of its sides."""

BOX_CONTRASTS = (
    "near_overlap",
    "far_overlap",
    "near_difference",
    "far_difference",
    "spread",
    "ring_spread",
    "ring_share",
)
"""Of a box's colours and those of the rings around it: overlap of their histograms (0 to 1), distance of their means,
spread within each, size of the near ring, which the image's edge cuts, as a share of the box's."""

OWN_CONTRASTS = (
    *("outside_overlap", "rest_overlap", "outside_difference"),
    *("own_spread", "own_entropy", "own_rarity"),
)
"""Of the colours of a tuple's own regions: overlap with the other pixels of box and near ring and with those of the box
alone, distance of the means from the former, spread, entropy of the histogram, how rare its words are in the image."""


class BoxColours(NamedTuple):
    """Colours of M boxes, U of them distinct.

    here, near: (U, K) float32, histograms of a box, and of it with the near ring; contrast: (U, 7) float32, columns as
    in BOX_CONTRASTS; group: (M,) int64, the row of each box in these.
    """

    here: np.ndarray
    near: np.ndarray
    contrast: np.ndarray
    group: np.ndarray


def box_colours(words: ColourWords, box: np.ndarray, size: tuple[int, int]) -> BoxColours:
    """Colours of `box` (M, 4) float32, in pixels of the image of `size` (height, width)."""
    height, width = words.word.shape
    first, group = equal_rows(np.ascontiguousarray(box).view(np.int32))
    scaled = box[first].astype(np.float64) * np.array([width / size[1], height / size[0]] * 2)
    return BoxColours(*_box_colours(words.integral, scaled, words.mean.T.copy(), words.square), group)


def own_contrasts(
    words: ColourWords, colours: BoxColours, group: np.ndarray, node: np.ndarray, member: np.ndarray
) -> np.ndarray:
    """(M, 6) float32, columns as in OWN_CONTRASTS, of tuples `member` (M, 4) of a tree.

    group: (M,) the row of each tuple's box in `colours`; node: (N, K) float32, `node_histograms` of the tree.
    """
    mean = words.mean.T.copy()
    return np.asarray(_own_contrasts(colours.here, colours.near, group, node, member, mean, words.square))


@compiled
def _box_colours(
    integral: np.ndarray, box: np.ndarray, mean: np.ndarray, square: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`BoxColours` without `group`, of distinct boxes in the units of `integral`; mean: (3, K)."""
    count, words = len(box), square.size
    here, near = np.empty((count, words), np.float32), np.empty((count, words), np.float32)
    ring, beyond = np.empty(words, np.float32), np.empty(words, np.float32)
    found = np.empty((count, 7), np.float32)
    for i in range(count):
        _count(integral, box[i], 0.0, here[i])
        _count(integral, box[i], NEAR, near[i])
        _count(integral, box[i], FAR, beyond)
        subtract(near[i], here[i], ring)
        subtract(beyond, here[i], beyond)
        inside, around, afar = total(here[i]), total(ring), total(beyond)
        found[i, 0], found[i, 1] = overlap(here[i], inside, ring, around), overlap(here[i], inside, beyond, afar)
        found[i, 2] = difference(here[i], inside, ring, around, mean)
        found[i, 3] = difference(here[i], inside, beyond, afar, mean)
        found[i, 4], found[i, 5] = spread(here[i], inside, mean, square), spread(ring, around, mean, square)
        found[i, 6] = around / inside
    return here, near, found


@compiled
def _own_contrasts(
    here: np.ndarray,
    near: np.ndarray,
    group: np.ndarray,
    node: np.ndarray,
    member: np.ndarray,
    mean: np.ndarray,
    square: np.ndarray,
) -> np.ndarray:
    """`own_contrasts`; mean: (3, K)."""
    words = square.size
    rare = rarity(node[node.shape[0] - 1])
    own, outside, rest = np.empty(words, np.float32), np.empty(words, np.float32), np.empty(words, np.float32)
    found = np.empty((len(member), 6), np.float32)
    for i in range(len(member)):
        _join(member[i], node, own)
        subtract(near[group[i]], own, outside)
        subtract(here[group[i]], own, rest)
        mine, others, left = total(own), total(outside), total(rest)
        found[i, 0], found[i, 1] = overlap(own, mine, outside, others), overlap(own, mine, rest, left)
        found[i, 2] = difference(own, mine, outside, others, mean)
        found[i, 3] = spread(own, mine, mean, square)
        found[i, 4], found[i, 5] = information(own, mine, rare)
    return found


@compiled
def _count(integral: np.ndarray, box: np.ndarray, margin: float, histogram: np.ndarray) -> None:
    """Write to `histogram` what is in `box` and a ring of `margin` times its sides: whole pixels, one at least."""
    height, width = integral.shape[0] - 1, integral.shape[1] - 1
    beside, below = margin * (box[2] - box[0]), margin * (box[3] - box[1])
    x0 = min(max(int(np.floor(box[0] - beside + 0.5)), 0), width - 1)
    y0 = min(max(int(np.floor(box[1] - below + 0.5)), 0), height - 1)
    x1 = max(min(int(np.floor(box[2] + beside + 0.5)), width), x0 + 1)
    y1 = max(min(int(np.floor(box[3] + below + 0.5)), height), y0 + 1)
    for k in range(histogram.size):
        found = integral[y1, x1, k] - integral[y0, x1, k] - integral[y1, x0, k] + integral[y0, x0, k]
        histogram[k] = np.float32(found)


@compiled
def _join(member: np.ndarray, node: np.ndarray, histogram: np.ndarray) -> None:
    """Write to `histogram` the sum of those of a tuple's nodes."""
    for k in range(histogram.size):
        histogram[k] = 0
    for m in range(member.size):
        if member[m] >= 0:
            for k in range(histogram.size):
                histogram[k] += node[member[m], k]
