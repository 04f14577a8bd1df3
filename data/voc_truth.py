"""Ground truth of the VOC layout.

Boxes come from the XML (1-based, inclusive) and become 0-based half-open: (xmin - 1, ymin - 1, xmax, ymax). Masks come
from SegmentationObject / SegmentationClass, or from SBD where VOC has none. Each mask belongs to the annotated object
of its class whose box overlaps its tight box most (IoU >= 0.5, best pairs first); a mask without such an object becomes
an object of its own with its tight box. In an image with masks, an annotated object that gets none has `mask=None`: VOC
paints what is too difficult to segment as void.
"""

from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from data import rle, sbd
from data.boxes import pairwise_iou
from data.errors import InputError
from data.masks import tight_box
from data.records import ImageList, ImageRecord
from data.truth import RLE, ImageTruth, TruthObject
from data.voc import CLASSES, VocLayout

VOID = 255
MATCH_IOU = 0.5
SIDES = ("xmin", "ymin", "xmax", "ymax")


def load_truth(layout: VocLayout, images: ImageList) -> list[ImageTruth]:
    """Objects of every image of `images`, in their order; InputError for missing or contradictory annotations."""
    annotated = {name.removesuffix(".xml") for name in layout.folder.names("Annotations")}
    segmented = {name.removesuffix(".png") for name in layout.folder.names("SegmentationObject")}
    if images.split.startswith("seg-") and (missing := [r.id for r in images.records if r.id not in segmented]):
        path = layout.folder.path("SegmentationObject", f"{missing[0]}.png")
        raise InputError(f"{path}: missing, and {len(missing) - 1} others of split '{images.split}'; add the files")
    in_sbd = sbd.ids(layout.sbd) if layout.sbd else frozenset()
    truths = []
    for record in images.records:
        objects = _annotated_objects(layout, record.id) if record.id in annotated else []
        if record.id in segmented:
            masks, void = _voc_masks(layout, record)
            truths.append(ImageTruth(record.id, record.size, _join(objects, masks), void, has_masks=True))
        elif record.id in in_sbd:
            masks = _sbd_masks(layout, record)
            truths.append(ImageTruth(record.id, record.size, _join(objects, masks), has_masks=True))
        else:
            truths.append(ImageTruth(record.id, record.size, tuple(objects)))
    return truths


def _annotated_objects(layout: VocLayout, image_id: str) -> list[TruthObject]:
    path = layout.folder.path("Annotations", f"{image_id}.xml")
    objects = []
    for item in layout.annotation(image_id).findall("object"):
        class_id = layout.class_id(item.findtext("name"), image_id)
        objects.append(
            TruthObject(class_id, _box(item, path), difficult=item.findtext("difficult", "0").strip() == "1")
        )
    return objects


def _box(item: ElementTree.Element, path: str) -> np.ndarray:
    try:
        box = np.array([float(item.findtext(f"bndbox/{side}", "")) for side in SIDES], np.float32)
    except ValueError as error:
        raise InputError(f"{path}: an object '{item.findtext('name')}' has no usable bndbox ({error})") from error
    box[:2] -= 1
    return box


def _voc_masks(layout: VocLayout, record: ImageRecord) -> tuple[list[TruthObject], RLE | None]:
    """Instances of the two PNGs as objects with their tight boxes, and the void pixels."""
    numbers = _palette_image(layout, "SegmentationObject", record)
    classes = _palette_image(layout, "SegmentationClass", record)
    masks = []
    for number in np.unique(numbers):
        if number in (0, VOID):
            continue
        mask = numbers == number
        class_id = int(np.bincount(classes[mask], minlength=256)[1:VOID].argmax())
        if class_id >= len(layout.class_names) or not (classes[mask] == class_id + 1).any():
            path = layout.folder.path("SegmentationClass", f"{record.id}.png")
            raise InputError(f"{path}: instance {number} of SegmentationObject has no class here; restore the files")
        masks.append(TruthObject(class_id, tight_box(mask), rle.encode(mask)))
    void = (numbers == VOID) | (classes == VOID)
    return masks, rle.encode(void) if void.any() else None


def _palette_image(layout: VocLayout, kind: str, record: ImageRecord) -> np.ndarray:
    """Palette indices (H, W) uint8: not colours, so not for data.decode."""
    path = layout.folder.path(kind, f"{record.id}.png")
    with layout.folder.open(kind, f"{record.id}.png") as stream:
        try:
            with Image.open(stream, formats=("PNG",)) as image:
                indices = np.array(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"{path}: not a readable PNG ({error}); restore the file") from error
    if indices.ndim != 2 or indices.shape != tuple(record.size):
        raise InputError(f"{path}: {indices.shape} pixels where the image has {record.size}; expected palette indices")
    return indices.astype(np.uint8)


def _sbd_masks(layout: VocLayout, record: ImageRecord) -> list[TruthObject]:
    if layout.sbd is None:
        return []
    numbers = np.asarray(sbd.read(layout.sbd, record.id).Segmentation)
    if numbers.shape != tuple(record.size):
        path = layout.sbd.path("inst", f"{record.id}.mat")
        raise InputError(f"{path}: {numbers.shape} pixels where the image has {record.size}; restore the file")
    masks = []
    for number, category in enumerate(sbd.categories(layout.sbd, record.id), start=1):
        if (mask := numbers == number).any():
            class_id = layout.class_id(CLASSES[category - 1], record.id)
            masks.append(TruthObject(class_id, tight_box(mask), rle.encode(mask)))
    return masks


def _join(objects: Sequence[TruthObject], masks: Sequence[TruthObject]) -> tuple[TruthObject, ...]:
    """Annotated objects with the masks that are theirs, followed by the masks that are nobody's."""
    joined, left = list(objects), list(masks)
    if objects and masks:
        iou = pairwise_iou(np.stack([o.box for o in objects]), np.stack([m.box for m in masks]))
        same = np.equal.outer([o.class_id for o in objects], [m.class_id for m in masks])
        iou = np.where(same, iou, 0)
        taken: set[int] = set()
        while (best := iou.max()) >= MATCH_IOU:
            row, column = (int(i) for i in np.argwhere(iou == best)[0])
            joined[row] = replace(objects[row], mask=masks[column].mask)
            taken.add(column)
            iou[row], iou[:, column] = 0, 0
        left = [mask for k, mask in enumerate(masks) if k not in taken]
    return (*joined, *left)
