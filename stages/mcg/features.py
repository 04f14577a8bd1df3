"""What the ranking knows of a tuple of regions: its box, its outline, its place in the hierarchy."""

from typing import NamedTuple

import numba
import numpy as np

from stages.mcg.region_tree import RegionTree


class Candidates(NamedTuple):
    """M candidate tuples of one hierarchy, or of several together.

    box: (M, 4) float32 xyxy half-open in pixels of the original image.
    split: (M,) the split of the hierarchy at which the tuple appeared, 0 for the root.
    regions: (M,) how many regions it joins; area: (M,) pixels of the original image.
    outline: (M,) mean contour along its outline; inner: (M,) mean contour between its regions, 0 for a single one.
    """

    box: np.ndarray
    split: np.ndarray
    regions: np.ndarray
    area: np.ndarray
    outline: np.ndarray
    inner: np.ndarray


def describe(tree: RegionTree, member: np.ndarray, split: np.ndarray, scale: tuple[float, float]) -> Candidates:
    """Features of `member` (M, 4). `scale`: (x, y) original pixels per working pixel."""
    box, regions, area, outline, inner = _describe(
        member, tree.box, tree.area, tree.perimeter, tree.contour, tree.shared, tree.shared_contour
    )
    box = (box * np.array([scale[0], scale[1], scale[0], scale[1]])).astype(np.float32)
    return Candidates(box, split, regions, area * (scale[0] * scale[1]), outline, inner)


def join(parts: list[Candidates]) -> Candidates:
    """Candidates of several hierarchies, in order."""
    return Candidates(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


@numba.njit(cache=True)
def _describe(
    member: np.ndarray,
    node_box: np.ndarray,
    node_area: np.ndarray,
    node_perimeter: np.ndarray,
    node_contour: np.ndarray,
    shared: np.ndarray,
    shared_contour: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    count = member.shape[0]
    box, regions, area = np.empty((count, 4), np.int32), np.zeros(count, np.int32), np.zeros(count)
    outline, inner = np.zeros(count), np.zeros(count)
    for i in range(count):
        box[i] = node_box[member[i, 0]]
        perimeter, contour, inner_length, inner_contour = 0.0, 0.0, 0.0, 0.0
        for k in range(member.shape[1]):
            node = member[i, k]
            if node < 0:
                break
            regions[i] += 1
            area[i] += node_area[node]
            perimeter += node_perimeter[node]
            contour += node_contour[node]
            for c in range(2):
                box[i, c] = min(box[i, c], node_box[node, c])
                box[i, 2 + c] = max(box[i, 2 + c], node_box[node, 2 + c])
            for j in range(k):
                inner_length += shared[node, member[i, j]]
                inner_contour += shared_contour[node, member[i, j]]
        outline[i] = (contour - 2 * inner_contour) / max(perimeter - 2 * inner_length, 1.0)
        inner[i] = inner_contour / max(inner_length, 1.0)
    return box, regions, area, outline, inner
