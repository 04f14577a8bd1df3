"""What the ranking knows of a tuple of regions: its box, its outline and its place in the hierarchy."""

from typing import NamedTuple

import numpy as np

from stages.compiled import compiled
from stages.regions.region_tree import RegionTree


class Candidates(NamedTuple):
    """M candidate tuples of one hierarchy, or of several together.

    box: (M, 4) float32 xyxy half-open in pixels of the original image.
    regions: (M,) how many regions it joins; fill: (M,) share of the box that they cover.
    outline: (M,) mean contour along the outline; inner: (M,) strongest mean contour between two of its regions, else 0.
    compactness: (M,) log of squared perimeter by area.
    first_merge, last_merge: (M,) altitudes at which the first and the last of its regions is merged into its parent.
    hierarchy: (M,) number of the hierarchy.
    """

    box: np.ndarray
    regions: np.ndarray
    fill: np.ndarray
    outline: np.ndarray
    inner: np.ndarray
    compactness: np.ndarray
    first_merge: np.ndarray
    last_merge: np.ndarray
    hierarchy: np.ndarray


def describe(tree: RegionTree, member: np.ndarray, scale: tuple[float, float], hierarchy: int) -> Candidates:
    """Features of `member` (M, 4). `scale`: (x, y) original pixels per working pixel."""
    columns = _describe(
        member,
        tree.parent,
        tree.altitude,
        tree.box,
        tree.area,
        tree.border,
        tree.perimeter,
        tree.contour,
        tree.shared,
        tree.shared_contour,
    )
    candidates = Candidates._make((*columns, np.full(len(member), hierarchy, np.int32)))
    box = candidates.box * np.array([scale[0], scale[1], scale[0], scale[1]])
    return candidates._replace(box=box.astype(np.float32))


def join(parts: list[Candidates]) -> Candidates:
    """Candidates of several hierarchies, in order."""
    return Candidates(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


@compiled
def _describe(
    member: np.ndarray,
    parent: np.ndarray,
    altitude: np.ndarray,
    node_box: np.ndarray,
    node_area: np.ndarray,
    node_border: np.ndarray,
    node_perimeter: np.ndarray,
    node_contour: np.ndarray,
    shared: np.ndarray,
    shared_contour: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """The columns of `Candidates` in order, without `hierarchy`; boxes in working pixels."""
    count = member.shape[0]
    box, regions = np.empty((count, 4), np.int32), np.zeros(count, np.int32)
    fill, outline, inner, compactness = np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(count)
    first_merge, last_merge = np.full(count, np.inf), np.zeros(count)
    for i in range(count):
        for c in range(4):
            box[i, c] = node_box[member[i, 0], c]
        area, border, perimeter, contour = 0.0, 0.0, 0.0, 0.0
        for k in range(member.shape[1]):
            node = member[i, k]
            if node < 0:
                break
            regions[i] += 1
            area += node_area[node]
            border += node_border[node]
            perimeter += node_perimeter[node]
            contour += node_contour[node]
            first_merge[i] = min(first_merge[i], altitude[parent[node]])
            last_merge[i] = max(last_merge[i], altitude[parent[node]])
            for c in range(2):
                box[i, c] = min(box[i, c], node_box[node, c])
                box[i, 2 + c] = max(box[i, 2 + c], node_box[node, 2 + c])
            for j in range(k):
                length, strength = shared[member[i, j], node], shared_contour[member[i, j], node]
                perimeter -= 2 * length
                contour -= 2 * strength
                if length > 0:
                    inner[i] = max(inner[i], strength / length)
        fill[i] = area / ((box[i, 2] - box[i, 0]) * (box[i, 3] - box[i, 1]))
        outline[i] = contour / max(perimeter, 1.0)
        compactness[i] = np.log((perimeter + border) ** 2 / area)
    return box, regions, fill, outline, inner, compactness, first_merge, last_merge
