"""The copy of the image that regions are made from, its contour map, and the units of both."""

import cv2
import numpy as np

BLUR = 0.7
"""Standard deviation, in working pixels, of the smoothing of the contour map before the watershed."""

FULL_CONTOUR = 255 * 256
"""What the smoothed 16-bit contour map holds for probability 1."""

LAB_UNIT = (100, 50, 50)
"""About one standard deviation of each plane of CIE Lab: distances of colours are measured in it."""


def resize_long_side(image: np.ndarray, side: float) -> np.ndarray:
    """`image` (H, W, 3) with a long side of `side` pixels and a short one of at least 1."""
    height, width = image.shape[:2]
    ratio = side / max(height, width)
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)


def smooth_contour(probability: np.ndarray) -> np.ndarray:
    """Probability (H, W) quantised to 8 bits, then blurred in integers: (H, W) uint16, FULL_CONTOUR for 1.

    The last bits of a float detector, which may differ between builds, do not reach the grouping.
    """
    quantised = np.rint(np.clip(np.nan_to_num(probability), 0, 1) * 255).astype(np.uint16)
    return cv2.GaussianBlur(quantised * np.uint16(256), (0, 0), BLUR)
