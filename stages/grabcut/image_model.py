"""What colour-cut computes once per image and shares among all its boxes."""

from typing import NamedTuple

import cv2
import numpy as np

from stages.contours import detector_by_name
from stages.grabcut.codebook import Codebook, build_codebook
from stages.grabcut.parameters import ColourCutParams
from stages.grabcut.regions import Regions, build_regions
from stages.regions.contour import FULL_CONTOUR, resize_long_side, smooth_contour

COARSEST = 160
"""The pyramid ends once its long side is no longer than this: a box of the whole image still fills a box frame."""

MAX_UPSCALE = 2.0
"""Small images are enlarged at most this much for the contour detector; beyond it there is nothing to see."""


class ImageModel(NamedTuple):
    """One image, ready for its boxes.

    size: (height, width). pyramid: the image and its halvings, (h, w, 3) uint8 RGB, finest first.
    contour: (h, w) float32 in [0, 1] at the working size. regions: hierarchy at the working size.
    codebook: colour words.
    """

    size: tuple[int, int]
    pyramid: tuple[np.ndarray, ...]
    contour: np.ndarray
    regions: Regions
    codebook: Codebook


def build_image_model(image: np.ndarray, params: ColourCutParams) -> ImageModel:
    """The model of `image` (H, W, 3) uint8 RGB, H and W at least 1."""
    small = resize_long_side(image, min(params.side, MAX_UPSCALE * max(image.shape[:2])))
    strength = smooth_contour(detector_by_name(params.contours)(small))
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return ImageModel(
        image.shape[:2],
        _pyramid(image),
        strength.astype(np.float32) / np.float32(FULL_CONTOUR),
        build_regions(strength, lab, params.leaves),
        build_codebook(lab, params.words),
    )


def _pyramid(image: np.ndarray) -> tuple[np.ndarray, ...]:
    levels = [np.ascontiguousarray(image)]
    while max(levels[-1].shape[:2]) > COARSEST and min(levels[-1].shape[:2]) > 1:
        height, width = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA))
    return tuple(levels)
