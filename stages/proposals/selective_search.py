"""Method `selective-search` of stage `proposals`: OpenCV's selective search (Uijlings et al., IJCV 2013)."""

import ctypes
import os

import cv2
import numpy as np

from data.boxes import area, clip
from stages.proposals.params import SelectiveSearchParams


def selective_search(image: np.ndarray, params: SelectiveSearchParams) -> tuple[np.ndarray, np.ndarray]:
    """Proposals of an image, best first.

    image: (H, W, 3) uint8 RGB. Returns boxes (n, 4) float32 xyxy half-open in the image's pixels and scores (n,)
    float32 in (0, 1], falling evenly with OpenCV's rank: the method ranks, but does not score. At least the whole image
    is proposed. The same bytes on every call.
    """
    height, width = image.shape[:2]
    scale = min(1.0, params.side / max(height, width))
    small_width, small_height = max(1, round(width * scale)), max(1, round(height * scale))
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    if scale < 1:
        bgr = cv2.resize(bgr, (small_width, small_height), interpolation=cv2.INTER_AREA)
    corner_and_size = _run(bgr, params.mode)[: params.max_proposals].astype(np.float64)
    boxes = np.concatenate([corner_and_size[:, :2], corner_and_size[:, :2] + corner_and_size[:, 2:]], axis=1)
    boxes *= np.array([width / small_width, height / small_height] * 2)
    boxes = clip(boxes, (height, width)).astype(np.float32)
    boxes = boxes[area(boxes) > 0]
    if not len(boxes):
        boxes = np.array([[0, 0, width, height]], np.float32)
    return boxes, np.linspace(1, 0, len(boxes), endpoint=False, dtype=np.float32)


def _run(bgr: np.ndarray, mode: str) -> np.ndarray:
    """OpenCV's boxes (n, 4) int x, y, width, height in its own ranking."""
    cv2.setNumThreads(1)
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(bgr)
    if mode == "fast":
        search.switchToSelectiveSearchFast()
    else:
        search.switchToSelectiveSearchQuality()
    _seed_c_library()
    return np.asarray(search.process()).reshape(-1, 4)


def _seed_c_library() -> None:
    """OpenCV draws its random ranking from the C library's rand(), which cv2.setRNGSeed does not reach."""
    library = ctypes.CDLL("msvcrt" if os.name == "nt" else None)
    library.srand(ctypes.c_uint(0))
