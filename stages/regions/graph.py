"""The region adjacency graph of a label map: who touches whom, how long and how strong the border is."""

from typing import NamedTuple

import numpy as np

from stages.compiled import compiled


class RegionGraph(NamedTuple):
    """n regions and their E adjacent pairs.

    edge: (E, 2) int32, smaller label first, sorted; length: (E,) pairs of neighbouring pixels on the common border;
    contour: (E,) sum over those pairs of the mean contour value.
    area: (n,) pixels; colour: (n, 3) sums of the Lab planes; box: (n, 4) int32 xyxy half-open;
    border: (n,) sides of pixels on the image's frame.
    """

    edge: np.ndarray
    length: np.ndarray
    contour: np.ndarray
    area: np.ndarray
    colour: np.ndarray
    box: np.ndarray
    border: np.ndarray


def build_region_graph(labels: np.ndarray, count: int, contour: np.ndarray, lab: np.ndarray) -> RegionGraph:
    """Graph of `labels` (H, W) int32 < count over `contour` (H, W) float32 and `lab` (H, W, 3) float32."""
    key, value = _borders(labels, count, contour)
    order = np.argsort(key, kind="stable")  # stable: the sums do not depend on the sort's whims
    return RegionGraph(*_edges(key, value, order, count), *_regions(labels, count, lab))


@compiled
def _borders(labels: np.ndarray, count: int, contour: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each two neighbouring pixels of two regions: smaller label x `count` + larger label, and mean contour."""
    height, width = labels.shape
    key = np.empty(2 * height * width, np.int64)
    value = np.empty(2 * height * width, np.float64)
    pairs = 0
    for y in range(height):
        for x in range(width):
            here = labels[y, x]
            for down in range(2):
                ny, nx = y + down, x + 1 - down
                if ny < height and nx < width and labels[ny, nx] != here:
                    there = labels[ny, nx]
                    key[pairs] = np.int64(min(here, there)) * count + max(here, there)
                    value[pairs] = 0.5 * (contour[y, x] + contour[ny, nx])
                    pairs += 1
    return key[:pairs], value[:pairs]


@compiled
def _edges(
    key: np.ndarray, value: np.ndarray, order: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each pair of regions once, its pixel pairs and the sum of their contour, from those in the `order` of `key`."""
    pairs = len(order)
    edge = np.empty((pairs, 2), np.int32)
    length, strength = np.zeros(pairs), np.zeros(pairs)
    edges, last = 0, np.int64(-1)
    for i in order:
        if key[i] != last:
            last = key[i]
            edge[edges, 0], edge[edges, 1] = last // count, last % count
            edges += 1
        length[edges - 1] += 1
        strength[edges - 1] += value[i]
    return edge[:edges].copy(), length[:edges].copy(), strength[:edges].copy()


@compiled
def _regions(labels: np.ndarray, count: int, lab: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    height, width = labels.shape
    area, border, colour = np.zeros(count), np.zeros(count), np.zeros((count, 3))
    box = np.empty((count, 4), np.int32)
    box[:, 0], box[:, 1], box[:, 2], box[:, 3] = width, height, 0, 0
    for y in range(height):
        for x in range(width):
            i = labels[y, x]
            area[i] += 1
            for c in range(3):
                colour[i, c] += lab[y, x, c]
            box[i, 0], box[i, 1] = min(box[i, 0], x), min(box[i, 1], y)
            box[i, 2], box[i, 3] = max(box[i, 2], x + 1), max(box[i, 3], y + 1)
            border[i] += (x == 0) + (x == width - 1) + (y == 0) + (y == height - 1)
    return area, colour, box, border
