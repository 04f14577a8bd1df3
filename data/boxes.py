"""Box arithmetic in numpy. Boxes are (…, 4) xyxy, half-open, absolute pixels: [x0, x1) x [y0, y1)."""

import numpy as np


def area(boxes: np.ndarray) -> np.ndarray:
    """Area in square pixels of boxes (…, 4): (…,) float64; 0 for degenerate boxes (x1 <= x0 or y1 <= y0)."""
    side = np.asarray(boxes[..., 2:], np.float64) - boxes[..., :2]
    return side.clip(0).prod(-1)


def pairwise_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of every box of `a` (n, 4) with every box of `b` (m, 4): (n, m) float64 in 0..1; 0 for degenerate boxes."""
    a, b = np.asarray(a, np.float64).reshape(-1, 4), np.asarray(b, np.float64).reshape(-1, 4)
    return _iou(a[:, None], b[None])


def paired_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of each box of `a` (n, 4) with that of `b` (n, 4) in the same row: (n,) float64; 0 for degenerate boxes."""
    a, b = np.asarray(a, np.float64).reshape(-1, 4), np.asarray(b, np.float64).reshape(-1, 4)
    return _iou(a, b)


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    intersection = (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(0).prod(-1)
    union = area(a) + area(b) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def clip(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes (…, 4) cut to an image of `size` (height, width), dtype kept; a box outside becomes degenerate."""
    height, width = size
    limit = np.array([width, height, width, height], boxes.dtype)
    return np.clip(boxes, np.zeros_like(limit), limit)


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """COCO's (x, y, width, height) (…, 4) to xyxy."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """xyxy (…, 4) to COCO's (x, y, width, height)."""
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)
