"""Full-image masks as COCO run-length encodings, by pycocotools."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from data.truth import RLE


def encode(mask: np.ndarray) -> RLE:
    """(H, W) bool mask -> RLE."""
    rle: RLE = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return rle


def decode(rle: RLE) -> np.ndarray:
    """RLE -> (H, W) bool mask."""
    return np.asarray(coco_mask.decode(rle), bool)


def from_coco(segmentation: Any, size: tuple[int, int]) -> RLE | None:
    """A COCO `segmentation` (polygons, uncompressed or compressed RLE) as RLE for an image of `size` (height, width).

    None if it is absent, an empty list or has no polygon of three corners. Raises ValueError for anything else that is
    no segmentation of this image.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
        if any(len(polygon) % 2 for polygon in polygons):
            raise ValueError("a polygon has an odd number of coordinates")
        parts = coco_mask.frPyObjects(polygons, *size) if polygons else []
        merged: RLE | None = coco_mask.merge(parts) if polygons else None
        return merged
    if not isinstance(segmentation, dict) or tuple(segmentation.get("size", ())) != tuple(size):
        raise ValueError("the RLE is not of the image's size")
    counts = segmentation.get("counts")
    if isinstance(counts, list):
        if sum(counts) != size[0] * size[1]:
            raise ValueError("the run lengths do not cover the image")
        rle: RLE = coco_mask.frPyObjects(segmentation, *size)
        return rle
    return {"size": list(size), "counts": counts.encode() if isinstance(counts, str) else counts}
