"""Region masks of proposals in the frame of their box, holes filled."""

import numpy as np

from data.masks import MASK_SIDE, pack
from stages.compiled import compiled
from stages.regions.region_tree import RegionTree


def box_masks(
    tree: RegionTree, labels: np.ndarray, member: np.ndarray, box: np.ndarray, scale: tuple[float, float]
) -> np.ndarray:
    """Masks of `member` (K, 4) tuples of `tree`: (K, 56, 7) uint8, packed as in `data.masks`.

    labels: (H, W) int32 superpixels; box: (K, 4) float32 original pixels; scale: (x, y) original per working pixel.
    A cell takes the region in which its centre lies.
    """
    leaves = tree.leaves
    near, start = _neighbor_lists(tree.shared[:leaves, :leaves])
    masks = _rasterize(
        labels,
        tree.leaf_of,
        tree.child,
        near,
        start,
        tree.border[:leaves] > 0,
        member,
        box.astype(np.float64) / np.array([scale[0], scale[1], scale[0], scale[1]]),
        MASK_SIDE,
    )
    return pack(masks)


def _neighbor_lists(shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leaves that touch leaf i: near[start[i] : start[i + 1]]."""
    rows, columns = np.nonzero(shared)
    apart = rows != columns
    start = np.searchsorted(rows[apart], np.arange(len(shared) + 1))
    return columns[apart], start


@compiled
def _rasterize(
    labels: np.ndarray,
    leaf_of: np.ndarray,
    child: np.ndarray,
    near: np.ndarray,
    start: np.ndarray,
    outer: np.ndarray,
    member: np.ndarray,
    box: np.ndarray,
    side: int,
) -> np.ndarray:
    height, width = labels.shape
    masks = np.zeros((member.shape[0], side, side), np.bool_)
    for i in range(member.shape[0]):
        inside = _filled(member[i], child, near, start, outer)
        x0, y0, x1, y1 = box[i]
        for row in range(side):
            y = min(max(int(np.floor(y0 + (row + 0.5) / side * (y1 - y0))), 0), height - 1)
            for column in range(side):
                x = min(max(int(np.floor(x0 + (column + 0.5) / side * (x1 - x0))), 0), width - 1)
                masks[i, row, column] = inside[leaf_of[labels[y, x]]]
    return masks


@compiled
def _filled(
    member: np.ndarray, child: np.ndarray, near: np.ndarray, start: np.ndarray, outer: np.ndarray
) -> np.ndarray:
    """Leaves of the tuple and of its holes, which cannot reach the image's frame without crossing it: (L,) bool."""
    leaves = outer.size
    inside = np.zeros(leaves, np.bool_)
    stack = np.empty(2 * leaves + 4, np.int64)
    depth = 0
    for node in member:
        if node >= 0:
            stack[depth] = node
            depth += 1
    while depth > 0:
        depth -= 1
        node = stack[depth]
        if node < leaves:
            inside[node] = True
        else:
            stack[depth], stack[depth + 1] = child[node, 0], child[node, 1]
            depth += 2
    reached = inside.copy()
    for leaf in range(leaves):
        if outer[leaf] and not reached[leaf]:
            reached[leaf] = True
            stack[depth] = leaf
            depth += 1
    while depth > 0:
        depth -= 1
        leaf = stack[depth]
        for k in range(start[leaf], start[leaf + 1]):
            if not reached[near[k]]:
                reached[near[k]] = True
                stack[depth] = near[k]
                depth += 1
    return inside | ~reached
