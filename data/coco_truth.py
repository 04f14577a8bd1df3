"""Ground truth of the COCO format: boxes, masks and crowds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from data import rle
from data.boxes import xywh_to_xyxy
from data.coco import entries, entry_fault
from data.coco_layout import CocoLayout
from data.errors import InputError
from data.numbers import Bbox, bbox, identifier, number, whole
from data.records import ImageList
from data.truth import ImageTruth, TruthObject

SAME, OTHER = 2.0, 10.0
"""Pixels by which a box and that of its mask differ and are the same one: rounding; and by which they surely are not
(COCO's own differ by up to 9.9)."""


def load_truth(layout: CocoLayout, images: ImageList) -> list[ImageTruth]:
    """Objects of every image of `images`, in their order; InputError for entries that cannot be read, and for a file
    without any annotation, as those of test images are."""
    where = layout.folder.path(*layout.annotation_path(images.split))
    class_of = {category: class_id for class_id, category in enumerate(images.category_ids)}
    sizes = {record.id: record.size for record in images.records}
    objects: dict[str, list[TruthObject]] = {image_id: [] for image_id in sizes}
    seen: set[str] = set()
    for key, place, item in entries(layout, images.split, polygons=True):
        if key == "annotations":
            try:
                _refuse_repetition(item, seen)
                image_id = identifier(item["image_id"], "image_id")
                objects[image_id].append(_object(item, sizes[image_id], class_of))
            except (KeyError, TypeError, ValueError) as error:
                fault = entry_fault(key, place, item, error)
                raise InputError(f"{where}: {fault}") from error
    if not any(objects.values()):
        raise InputError(f"{where}: holds no annotations, so there is nothing to compare with; name another split")
    segmented = any(item.mask is not None for found in objects.values() for item in found)
    return [ImageTruth(r.id, r.size, tuple(objects[r.id]), has_masks=segmented) for r in images.records]


def _refuse_repetition(item: Mapping[str, Any], seen: set[str]) -> None:
    """ValueError for an annotation whose id is among `seen`; else it gets there. Those of some tools have none."""
    if item.get("id") is not None:
        name = identifier(item["id"], "id")
        if name in seen:
            raise ValueError("id: another annotation has it, too")
        seen.add(name)


def _object(item: Mapping[str, Any], size: tuple[int, int], class_of: Mapping[int, int]) -> TruthObject:
    mask = rle.from_coco(item.get("segmentation"), size) if max(size) else None  # else: a file that is no image
    box = _box(item.get("bbox"), mask)
    x, y, width, height = box
    if max(size) and (x + width < 0 or y + height < 0 or x > size[1] or y > size[0]):
        raise ValueError(f"bbox: {list(box)} lies outside the image of {size[1]} x {size[0]} (width x height)")
    has_box = width > 0 and height > 0
    if not has_box and mask is None:
        raise ValueError(f"bbox: {list(box)} encloses nothing")
    return TruthObject(
        class_of[whole(item["category_id"], "category_id")],
        xywh_to_xyxy(np.array(box)),
        mask,
        crowd=_crowd(item),
        area=_area(item),
        has_box=has_box,
        bbox=box,
    )


def _box(value: Any, mask: rle.RLE | None) -> Bbox:
    """The box that an annotation gives, or, where it gives none, that of its mask; ValueError if they contradict."""
    if mask is None:
        return bbox(value)
    own = rle.box(mask)
    if value is None or value == []:
        return own
    box = bbox(value)
    stated, spanned = xywh_to_xyxy(np.array([box, own]))
    if np.abs(np.array(box) - spanned).max() <= SAME and np.abs(stated - spanned).max() > OTHER:
        raise ValueError(f"bbox: {value} is the mask's x0, y0, x1, y1; COCO's order is [x, y, width, height]")
    if box[2] > 0 < box[3] and ((spanned[:2] >= stated[2:] + SAME) | (spanned[2:] <= stated[:2] - SAME)).any():
        raise ValueError(f"bbox: {value} does not touch its own mask, which spans {spanned.tolist()} (x0, y0, x1, y1)")
    return box


def _area(item: Mapping[str, Any]) -> float | None:
    if item.get("area") is None:
        return None
    if (area := number(item["area"], "area")) < 0:
        raise ValueError(f"area: {area} is not a number of pixels")
    return area


def _crowd(item: Mapping[str, Any]) -> bool:
    crowd = item.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise ValueError(f"iscrowd: {crowd!r:.60} is neither 0 nor 1")
    return bool(crowd)
