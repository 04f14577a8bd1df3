"""The detector `gradient`: colour gradient at two scales, no learning."""

import cv2
import numpy as np

SIGMAS = (1.0, 2.0)
UNIT = 40.0
"""Sum of the two gradients (Lab units per pixel, 8-bit Lab) that counts as probability 1."""


def gradient_contours(image: np.ndarray) -> np.ndarray:
    """Boundary strength of every pixel: (H, W, 3) uint8 RGB -> (H, W) float32 in [0, 1].

    The norm of the Lab image's Jacobian (largest singular value; Di Zenzo 1986), averaged over two smoothings.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    total = np.zeros(image.shape[:2], np.float32)
    for sigma in SIGMAS:
        total += _jacobian_norm(cv2.GaussianBlur(lab, (0, 0), sigma))
    return np.minimum(total / np.float32(UNIT), 1)


def _jacobian_norm(planes: np.ndarray) -> np.ndarray:
    dx = cv2.Sobel(planes, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(planes, cv2.CV_32F, 0, 1, scale=1 / 8)
    xx, yy, xy = (dx * dx).sum(-1), (dy * dy).sum(-1), (dx * dy).sum(-1)
    return np.sqrt((xx + yy + np.sqrt((xx - yy) ** 2 + 4 * xy * xy)) / 2)
