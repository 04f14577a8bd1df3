"""Full-image masks as COCO run-length encodings, by pycocotools; whatever reaches its C code was checked before."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from data.numbers import Bbox, number

RLE = dict[str, Any]
"""COCO run-length encoding: {"size": [height, width], "counts": bytes}; decode with pycocotools.mask."""

OUTSIDE_TOLERANCE = 8.0
"""Pixels by which a polygon may leave its image: rounding, and sloppy clicks of labelling tools. What lies further out
belongs to another image or size, and costs C code as much memory as it is far."""
LARGEST_SIDE = 65_535
"""Height x width of a mask stay within what pycocotools' 32-bit runs can count."""


def encode(mask: np.ndarray) -> RLE:
    """(H, W) bool mask -> RLE."""
    rle: RLE = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return rle


def encode_columns(columns: np.ndarray, first: int, size: tuple[int, int]) -> RLE:
    """What `encode` makes of a mask of `size` (height, width) that has nothing outside some neighbouring columns: the
    same bytes, without looking at the rest of the image.

    columns: (w, height) bool, C-contiguous, a row a column; first: number of the first of them.
    """
    height, width = size
    flat = np.zeros(columns.size + 2, bool)
    flat[1:-1] = columns.reshape(-1)
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + first * height
    runs = np.diff(turns, prepend=0, append=height * width).tolist()
    if len(turns) and runs[-1] == 0:
        runs.pop()
    made: RLE = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    return made


def decode(rle: RLE) -> np.ndarray:
    """RLE -> (H, W) bool mask."""
    return np.asarray(coco_mask.decode(rle), bool)


def box(rle: RLE) -> Bbox:
    """[x, y, width, height] of the pixels of an RLE; zeros where it has none."""
    x, y, width, height = coco_mask.toBbox(rle).tolist()
    return x, y, width, height


def from_coco(segmentation: Any, size: tuple[int, int]) -> RLE | None:
    """A COCO `segmentation` (polygons, uncompressed or compressed RLE) as RLE for an image of `size` (height, width).

    None if it is absent or empty, or if none of its polygons has three points (COCO's own files hold some).
    Raises ValueError, beginning with the field, for anything that is no segmentation of this image: numbers that are
    not finite, polygons that leave it by more than OUTSIDE_TOLERANCE, runs that do not cover it exactly.
    """
    if not segmentation:
        return None
    if not 1 <= min(size) <= max(size) <= LARGEST_SIDE:
        raise ValueError(f"segmentation: the image's size {size[0]} x {size[1]} is not within 1 to {LARGEST_SIDE}")
    if isinstance(segmentation, list):
        return _from_polygons(segmentation, size)
    if not isinstance(segmentation, Mapping) or not {"size", "counts"} <= set(segmentation):
        raise ValueError("segmentation: has to be an RLE with 'size' and 'counts', or a list of polygons")
    stated = segmentation["size"]
    if not isinstance(stated, list | tuple) or list(stated) != list(size):
        raise ValueError(f"segmentation.size: {stated!r:.60} is not the image's [height, width] {list(size)}")
    counts = segmentation["counts"]
    if isinstance(counts, list):
        return _from_runs(counts, size)
    if not isinstance(counts, str | bytes):
        raise ValueError(f"segmentation.counts: {counts!r:.60} is neither text nor a list of numbers")
    return _from_text(counts, size)


def _from_polygons(polygons: Sequence[Any], size: tuple[int, int]) -> RLE | None:
    height, width = size
    polygons = _from_points(polygons)
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) % 2:
            raise ValueError("segmentation: a polygon is a list [x, y, x, y, …]")
        for values, limit, axis in ((polygon[::2], width, "x"), (polygon[1::2], height, "y")):
            for value in values:
                if not -OUTSIDE_TOLERANCE <= number(value, "segmentation") <= limit + OUTSIDE_TOLERANCE:
                    raise ValueError(
                        f"segmentation: {axis} {value:g} lies outside the image of {width} x {height} (width x height)"
                    )
    with_area = [polygon for polygon in polygons if len(polygon) >= 6]
    merged: RLE | None = coco_mask.merge(coco_mask.frPyObjects(with_area, height, width)) if with_area else None
    return merged


def _from_points(polygons: Sequence[Any]) -> Sequence[Any]:
    """Polygons as lists of points [[x, y], …], of one polygon or of several, made COCO's lists [x, y, x, y, …]."""
    if len(polygons) >= 3 and all(map(_is_point, polygons)):
        polygons = [polygons]
    return [
        [value for point in polygon for value in point]
        if isinstance(polygon, list) and polygon and all(map(_is_point, polygon))
        else polygon
        for polygon in polygons
    ]


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and not any(isinstance(part, list) for part in value)


def _from_runs(counts: list[Any], size: tuple[int, int]) -> RLE:
    whole = all(isinstance(c, int) and not isinstance(c, bool) and c >= 0 for c in counts)
    if not whole or sum(counts) != size[0] * size[1]:
        raise ValueError("segmentation.counts: has to be whole numbers whose sum is height x width")
    rle: RLE = coco_mask.frPyObjects({"size": list(size), "counts": counts}, *size)
    return rle


def _from_text(counts: str | bytes, size: tuple[int, int]) -> RLE:
    """The runs have to cover the image exactly: pycocotools trusts them.

    Its text form (rleFrString): 5 bits a character from '0' on, lowest first, bit 32 = more follow, signed; from the
    fourth run on, the difference to the run two before.
    """
    try:
        text = counts.encode("ascii") if isinstance(counts, str) else counts
    except UnicodeEncodeError:
        text = b""
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    last = (codes & 32) == 0
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or not last[-1]:
        raise ValueError("segmentation.counts: is not COCO's compressed RLE")
    first = np.flatnonzero(np.concatenate([[True], last[:-1]]))
    place = np.arange(len(codes)) - np.repeat(first, np.diff(first, append=len(codes)))
    runs = np.add.reduceat((codes & 31) << (5 * place.clip(max=11)), first)
    runs -= np.where(codes[last] & 16, np.int64(1) << (5 * (place[last].clip(max=11) + 1)), 0)
    runs[1::2], runs[2::2] = runs[1::2].cumsum(), runs[2::2].cumsum()
    if place.max() > 6 or runs.min() < 0 or runs.sum() != size[0] * size[1]:
        raise ValueError("segmentation.counts: its runs do not cover height x width pixels")
    return {"size": list(size), "counts": text}
