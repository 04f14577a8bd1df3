"""Superpixels: every pixel follows the steepest descent of the contour map to its minimum."""

import numpy as np

from stages.compiled import compiled


@compiled
def watershed(contour: np.ndarray) -> tuple[np.ndarray, int]:
    """Basins of `contour` (H, W): labels (H, W) int32 from 0 in scan order, and their number.

    A pixel goes to its lowest 4-neighbour if that is lower than itself (ties: left, right, up, down); a pixel without a
    lower neighbour joins an equal one on its left or above. Every basin is 4-connected.
    """
    height, width = contour.shape
    target = np.empty(height * width, np.int32)
    for y in range(height):
        for x in range(width):
            target[y * width + x] = _descent(contour, y, x)
    labels = np.full(height * width, -1, np.int32)
    path = np.empty(height * width, np.int32)
    count = 0
    for start in range(height * width):
        pixel, length = start, 0
        while labels[pixel] < 0 and target[pixel] != pixel:
            path[length] = pixel
            length += 1
            pixel = target[pixel]
        if labels[pixel] < 0:
            labels[pixel] = count
            count += 1
        for step in range(length):
            labels[path[step]] = labels[pixel]
    return labels.reshape(height, width), count


@compiled
def _descent(contour: np.ndarray, y: int, x: int) -> int:
    """The pixel (as y W + x) to which (y, x) flows; itself if it is a minimum."""
    height, width = contour.shape
    here = y * width + x
    lowest, target = contour[y, x], here
    if x > 0 and contour[y, x - 1] < lowest:
        lowest, target = contour[y, x - 1], here - 1
    if x < width - 1 and contour[y, x + 1] < lowest:
        lowest, target = contour[y, x + 1], here + 1
    if y > 0 and contour[y - 1, x] < lowest:
        lowest, target = contour[y - 1, x], here - width
    if y < height - 1 and contour[y + 1, x] < lowest:
        lowest, target = contour[y + 1, x], here + width
    if target == here:
        if x > 0 and contour[y, x - 1] == lowest:
            return here - 1
        if y > 0 and contour[y - 1, x] == lowest:
            return here - width
    return target
