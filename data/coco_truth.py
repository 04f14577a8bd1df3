"""Ground truth of the COCO layout: boxes, masks and crowds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from data import rle
from data.boxes import xywh_to_xyxy
from data.coco import CocoLayout
from data.errors import InputError
from data.json_stream import is_finite_number, top_level
from data.records import ImageList
from data.truth import ImageTruth, TruthObject


def load_truth(layout: CocoLayout, images: ImageList) -> list[ImageTruth]:
    """Objects of every image of `images`, in their order; InputError for entries that cannot be read."""
    parts = layout.annotation_path(images.split)
    where = layout.folder.path(*parts)
    class_of = {category: class_id for class_id, category in enumerate(images.category_ids)}
    sizes = {record.id: record.size for record in images.records}
    objects: dict[str, list[TruthObject]] = {image_id: [] for image_id in sizes}
    with layout.folder.open(*parts) as stream:
        for key, item in top_level(stream, where, polygons=True):
            if key == "annotations":
                image_id = str(item["image_id"])
                objects[image_id].append(_object(item, sizes[image_id], class_of, where))
    segmented = any(item.mask is not None for found in objects.values() for item in found)
    return [ImageTruth(r.id, r.size, tuple(objects[r.id]), has_masks=segmented) for r in images.records]


def _object(item: Mapping[str, Any], size: tuple[int, int], class_of: Mapping[int, int], where: str) -> TruthObject:
    try:
        bbox = _bbox(item["bbox"])
        mask = rle.from_coco(item.get("segmentation"), size)
        box = xywh_to_xyxy(np.array(bbox))
        return TruthObject(class_of[item["category_id"]], box, mask, crowd=_crowd(item), area=_area(item), bbox=bbox)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        name = f"annotation {item.get('id', '?')} of image {item['image_id']}"
        raise InputError(f"{where}: {name} cannot be read ({error}); restore the file") from error


def _bbox(bbox: Any) -> tuple[float, float, float, float]:
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(is_finite_number, bbox)):
        raise ValueError(f"bbox: {bbox!r:.60} is not [x, y, width, height]")
    if min(bbox[2:]) < 0:
        raise ValueError(f"bbox: {bbox} has a negative width or height; COCO's order is [x, y, width, height]")
    x, y, width, height = map(float, bbox)
    return x, y, width, height


def _area(item: Mapping[str, Any]) -> float | None:
    area = item.get("area")
    if area is not None and not (is_finite_number(area) and area >= 0):
        raise ValueError(f"area: {area!r:.60} is not a number of pixels")
    return None if area is None else float(area)


def _crowd(item: Mapping[str, Any]) -> bool:
    crowd = item.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise ValueError(f"iscrowd: {crowd!r:.60} is neither 0 nor 1")
    return bool(crowd)
