"""Seed masks by `cv2.grabCut` as the paper's release runs it, for faithful reproduction."""

import cv2
import numpy as np

from data.masks import MASK_SIDE, to_box_frame
from stages.grabcut.parameters import OpenCVParams


def opencv_masks(image: np.ndarray, boxes: np.ndarray, params: OpenCVParams) -> np.ndarray:
    """Masks (n, 56, 56) bool in the frames of `boxes` (n, 4) float64 xyxy, of `image` (H, W, 3) uint8 RGB.

    The whole image at long side 400, initialised from the box's rectangle; an empty result becomes the whole box.
    OpenCV's generator is seeded before every box, so a mask does not depend on the boxes before it.
    """
    height, width = image.shape[:2]
    scale = params.long_side / max(height, width)
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    small = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)[..., ::-1])
    masks = np.empty((len(boxes), MASK_SIDE, MASK_SIDE), bool)
    for k, box in enumerate(boxes):
        foreground = _grabcut(small, (box * scale).astype(int), params.iterations)
        mask = to_box_frame(foreground, box * scale)
        masks[k] = mask if mask.any() else True
    return masks


def _grabcut(image: np.ndarray, box: np.ndarray, iterations: int) -> np.ndarray:
    """Foreground (h, w) bool of `image` for the rectangle of integer xyxy `box`; all False where OpenCV refuses."""
    h, w = image.shape[:2]
    x0, y0, x1, y1 = (int(v) for v in box)
    rectangle = (x0, y0, max(x1 - x0, 2), max(y1 - y0, 2))
    if rectangle[2] * rectangle[3] >= w * h:  # a box without outside: leave a rim of 3 px as background
        rectangle = (3, 3, w - 6, h - 6)
    labels = np.zeros((h, w), np.uint8)
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(image, labels, rectangle, np.zeros((1, 65)), np.zeros((1, 65)), iterations, cv2.GC_INIT_WITH_RECT)
    except cv2.error:  # it asserts on constant and tiny regions
        return np.zeros((h, w), bool)
    return (labels & 1).astype(bool)
