"""The rules of published figures in plain Python, written from their definitions: nothing of `pdsl/evaluate` is used.

`devkit_ap` is VOCevaldet of the VOC devkit (area under the curve); without difficult objects and with masks it is the
rule of chainercv's eval_instance_segmentation_voc. `plain_coco` is pycocotools as it is.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as rle_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from data.truth import ImageTruth, TruthObject
from pdsl.evaluate.predictions import Prediction


def devkit_ap(
    found: Sequence[Prediction],
    truth: Sequence[ImageTruth],
    n_classes: int,
    kind: str,
    threshold: float,
    *,
    ignore_difficult: bool,
) -> float:
    """Mean AP in percent over the classes with objects. Ties of scores keep the order given (a stable sort)."""
    values = []
    for class_id in range(n_classes):
        objects = {i.id: [o for o in i.objects if o.class_id == class_id and _taken(o, i, kind)] for i in truth}
        positives = sum(not (o.difficult and ignore_difficult) for listed in objects.values() for o in listed)
        if not positives:
            continue
        detected = {image_id: [False] * len(listed) for image_id, listed in objects.items()}
        hits = []
        own = [p for p in found if p.class_id == class_id and (kind == "box" or _has_masks(truth, p.image_id))]
        for p in sorted(own, key=lambda p: -p.score):
            best, place = -1.0, -1
            for number, item in enumerate(objects[p.image_id]):
                value = _iou(p, item, kind)
                if value > best:
                    best, place = value, number
            if best < threshold:
                hits.append(False)
            elif not (ignore_difficult and objects[p.image_id][place].difficult):
                hits.append(not detected[p.image_id][place])
                detected[p.image_id][place] = True
        values.append(_area(hits, positives))
    return 100 * float(np.mean(values))


def _area(hits: Sequence[bool], positives: int) -> float:
    precision = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
    return sum(max(precision[k:]) for k, hit in enumerate(hits) if hit) / positives


def _taken(item: TruthObject, image: ImageTruth, kind: str) -> bool:
    return kind == "box" or (image.has_masks and item.mask is not None)


def _has_masks(truth: Sequence[ImageTruth], image_id: str) -> bool:
    return next(image.has_masks for image in truth if image.id == image_id)


def _iou(p: Prediction, item: TruthObject, kind: str) -> float:
    if kind == "mask":
        one, other = (rle_tools.decode(m).astype(bool) for m in (p.mask, item.mask))
        return float((one & other).sum() / max((one | other).sum(), 1))
    a, b = p.box.tolist(), item.box.astype(float).tolist()
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(wide, 0) * max(high, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def plain_coco(
    found: Sequence[Prediction], truth: Sequence[ImageTruth], n_classes: int, kind: str
) -> dict[str, float | None]:
    """AP, AP50, AP75, APs, APm and APl in percent of every object (kind mask: with a mask), crowds by iscrowd alone."""
    images = [image for image in truth if kind == "box" or image.has_masks]
    number = {image.id: n for n, image in enumerate(images, 1)}
    annotations = [
        _shape(o.box, o.mask, kind)
        | {"image_id": number[i.id], "category_id": o.class_id + 1, "iscrowd": int(o.crowd), "area": _pixels(o)}
        for i in images
        for o in i.objects
        if _taken(o, i, kind)
    ]
    rows = [
        _shape(p.box, p.mask, kind)
        | {"image_id": number[p.image_id], "category_id": p.class_id + 1, "score": p.score, "area": p.area(kind)}
        for p in found
        if p.image_id in number
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        sets = [_index(listed, images, n_classes) for listed in (annotations, rows)]
        evaluation = COCOeval(*sets, "bbox" if kind == "box" else "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    return {n: None if v < 0 else 100 * float(v) for n, v in zip(names, evaluation.stats[:6], strict=True)}


def _index(rows: list[dict[str, Any]], images: Sequence[ImageTruth], n_classes: int) -> COCO:
    coco = COCO()
    coco.dataset = {
        "images": [{"id": n, "height": i.size[0], "width": i.size[1]} for n, i in enumerate(images, 1)],
        "categories": [{"id": c + 1} for c in range(n_classes)],
        "annotations": [row | {"id": n} for n, row in enumerate(rows, 1)],
    }
    coco.createIndex()
    return coco


def _shape(box: np.ndarray, mask: Any, kind: str) -> dict[str, Any]:
    if kind == "mask":
        return {"segmentation": mask}
    x0, y0, x1, y1 = (float(v) for v in box)
    return {"bbox": [x0, y0, x1 - x0, y1 - y0]}


def _pixels(item: TruthObject) -> float:
    """What sorts an object into small, medium and large: its mask where it has one."""
    if item.mask is not None:
        return float(rle_tools.area(item.mask))
    return float(np.prod((item.box[2:] - item.box[:2]).astype(float)))
