"""What colour-cut computes once per image and shares among all its boxes."""

from typing import NamedTuple

import cv2
import numpy as np

from stages.contours import detector_by_name
from stages.grabcut.codebook import build_codebook
from stages.grabcut.parameters import ColourCutParams
from stages.grabcut.regions import Regions, build_regions
from stages.regions.contour import FULL_CONTOUR, resize_long_side, smooth_contour

COARSEST = 40
"""The halvings end once the long side is no longer than this: a box of the whole image still fills its cells."""

MAX_UPSCALE = 2.0
"""Small images are enlarged at most this much for the contour detector; beyond it there is nothing to see."""


class ImageModel(NamedTuple):
    """One image, ready for its boxes.

    size: (height, width); scale: (x, y) pixels of the working size per pixel of the image, float64.
    shape: (V, 2) int64, height and width of the working size and of its halvings; start: (V,) int64, where the pixels
    of each begin in `contour` and `word`: tuples of maps would be compiled case by case.
    contour: (pixels,) float32 in [0, 1], of the halvings the strongest contour counts; word: (pixels,) uint8, colour
    words. affinity: (K, K), see `Codebook`.
    regions: hierarchies at the working size.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    shape: np.ndarray
    start: np.ndarray
    contour: np.ndarray
    word: np.ndarray
    affinity: np.ndarray
    regions: tuple[Regions, ...]


def build_image_model(image: np.ndarray, params: ColourCutParams) -> ImageModel:
    """The model of `image` (H, W, 3) uint8 RGB, H and W at least 1."""
    small = resize_long_side(image, min(params.side, MAX_UPSCALE * max(image.shape[:2])))
    strength = smooth_contour(detector_by_name(params.contours)(small))
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    codebook = build_codebook(lab, params.words)
    contour, pixels = [strength.astype(np.float32) / np.float32(FULL_CONTOUR)], [small]
    while max(contour[-1].shape) > COARSEST and min(contour[-1].shape) > 1:
        contour.append(_strongest(contour[-1]))
        pixels.append(cv2.resize(pixels[-1], contour[-1].shape[::-1], interpolation=cv2.INTER_AREA))
    shape = np.array([level.shape for level in contour])
    return ImageModel(
        image.shape[:2],
        (small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]),
        shape,
        shape.prod(1).cumsum() - shape.prod(1),
        np.concatenate([level.ravel() for level in contour]),
        np.concatenate([codebook.words_of(level).ravel() for level in pixels]),
        codebook.affinity,
        build_regions(strength, lab, params.leaves),
    )


def _strongest(contour: np.ndarray) -> np.ndarray:
    """The largest of each two by two pixels of (h, w), at odd ends of fewer: (ceil(h / 2), ceil(w / 2))."""
    height, width = contour.shape
    even = np.pad(contour, ((0, height % 2), (0, width % 2)), mode="edge")
    return np.maximum(np.maximum(even[::2, ::2], even[1::2, ::2]), np.maximum(even[::2, 1::2], even[1::2, 1::2]))
