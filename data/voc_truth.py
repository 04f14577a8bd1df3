"""Ground truth of the VOC layout.

Boxes come from the XML (1-based, inclusive) and become 0-based half-open: (xmin - 1, ymin - 1, xmax, ymax). Masks come
from SegmentationObject / SegmentationClass, or from SBD where VOC has none. Instance k belongs to the k-th object that
has a mask (`data.mask_owners`). A mask that is nobody's is an object of the masks alone: it adds nothing to the truth
of boxes, unless the image has no XML at all (SBD). In an image with masks, an annotated object that gets none has
`mask=None`: VOC paints what is too difficult to segment as void.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from data import rle, sbd
from data.errors import InputError
from data.mask_owners import owners
from data.masks import tight_box
from data.records import ImageList, ImageRecord
from data.truth import RLE, ImageTruth, TruthObject
from data.voc import CLASSES, VocLayout

VOID = 255
SIDES = ("xmin", "ymin", "xmax", "ymax")
DIFFICULT = {
    **dict.fromkeys(("1", "true", "yes"), True),
    **dict.fromkeys(("0", "false", "no", "", "unspecified"), False),
}
"""How tools write whether an object is difficult."""


def load_truth(layout: VocLayout, images: ImageList) -> list[ImageTruth]:
    """Objects of every image of `images`, in their order; InputError for missing or contradictory annotations."""
    annotated = layout.annotated
    segmented = {name.removesuffix(".png") for name in layout.folder.below("SegmentationObject").files()}
    if images.split.startswith("seg-") and (missing := [r.id for r in images.records if r.id not in segmented]):
        path = layout.folder.path("SegmentationObject", f"{missing[0]}.png")
        raise InputError(f"{path}: missing, and {len(missing) - 1} others of split '{images.split}'; add the files")
    in_sbd = sbd.ids(layout.sbd) if layout.sbd else frozenset()
    if not any(r.id in annotated or r.id in segmented or r.id in in_sbd for r in images.records):
        path = layout.folder.path("Annotations")
        raise InputError(
            f"{path}: no image of split '{images.split}' is annotated, so there is nothing to compare with"
        )
    truths = []
    for record in images.records:
        objects = _annotated_objects(layout, record) if record.id in annotated else []
        if record.id in segmented:
            masks, void = _voc_masks(layout, record)
            joined = _join(objects, masks, record.id in annotated)
            truths.append(ImageTruth(record.id, record.size, joined, void, has_masks=True))
        elif record.id in in_sbd:
            joined = _join(objects, _sbd_masks(layout, record), record.id in annotated)
            truths.append(ImageTruth(record.id, record.size, joined, has_masks=True))
        else:
            truths.append(ImageTruth(record.id, record.size, tuple(objects)))
    return truths


def _annotated_objects(layout: VocLayout, record: ImageRecord) -> list[TruthObject]:
    objects = []
    for number, item in enumerate(layout.annotation(record.id).findall("object"), start=1):
        name = item.findtext("name")
        class_id = layout.class_id(name, record.id)
        path = layout.folder.path("Annotations", f"{record.id}.xml")
        flag = item.findtext("difficult", "").strip().lower()
        if flag not in DIFFICULT:
            raise InputError(f"{path}: object {number} '{name}': difficult is '{flag:.60}'; write 0 or 1")
        try:
            box = _box(item, record.size)
        except ValueError as error:
            raise InputError(
                f"{path}: an object '{name}' has no usable bndbox (object {number}: {error}); correct it"
            ) from error
        objects.append(TruthObject(class_id, box, difficult=DIFFICULT[flag]))
    return objects


def _box(item: ElementTree.Element, size: tuple[int, int]) -> np.ndarray:
    """(4,) float64 of an object in an image of `size`; (0, 0): not known. ValueError that names the side."""
    texts = [item.findtext(f"bndbox/{side}") for side in SIDES]
    if None in texts:
        raise ValueError(f"{SIDES[texts.index(None)]} is missing")
    box = np.array([_number(text) for text in texts]) - (1, 1, 0, 0)
    sides = ", ".join(f"{side} {text}" for side, text in zip(SIDES, texts, strict=True))
    if not (np.isfinite(box).all() and box[2] > box[0] and box[3] > box[1]):
        raise ValueError(sides)
    if max(size) and (box[0] >= size[1] or box[1] >= size[0] or box[2] <= 0 or box[3] <= 0):
        raise ValueError(f"{sides} lies outside the image of {size[1]} x {size[0]} (width x height)")
    return box


def _number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return math.nan


def _voc_masks(layout: VocLayout, record: ImageRecord) -> tuple[dict[int, TruthObject], RLE | None]:
    """Instances of the two PNGs, by number, as objects with their tight boxes; and the void pixels."""
    numbers = _palette_image(layout, "SegmentationObject", record)
    classes = _palette_image(layout, "SegmentationClass", record)
    masks = {}
    for number in np.unique(numbers):
        if number in (0, VOID):
            continue
        mask = numbers == number
        class_id = int(np.bincount(classes[mask], minlength=256)[1:VOID].argmax())
        if class_id >= len(layout.class_names) or not (classes[mask] == class_id + 1).any():
            path = layout.folder.path("SegmentationClass", f"{record.id}.png")
            raise InputError(f"{path}: instance {number} of SegmentationObject has no class here; restore the files")
        masks[int(number)] = TruthObject(class_id, tight_box(mask), rle.encode(mask))
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
    if indices.min(initial=0) < 0 or indices.max(initial=0) > VOID:
        raise InputError(f"{path}: holds {indices.max()}; expected palette indices of 8 bits, {VOID} for void")
    return indices.astype(np.uint8)


def _sbd_masks(layout: VocLayout, record: ImageRecord) -> dict[int, TruthObject]:
    if layout.sbd is None:
        return {}
    path = layout.sbd.path("inst", f"{record.id}.mat")
    numbers, categories = sbd.instances(layout.sbd, record.id)
    if numbers.shape != tuple(record.size):
        raise InputError(f"{path}: {numbers.shape} pixels where the image has {record.size}; restore the file")
    masks = {}
    for number in np.unique(numbers[numbers != 0]).tolist():
        if not 0 < number <= len(categories):
            raise InputError(f"{path}: Segmentation has the instance {number}, Categories {len(categories)} of them")
        mask = numbers == number
        class_id = layout.class_id(CLASSES[categories[number - 1] - 1], record.id)
        masks[number] = TruthObject(class_id, tight_box(mask), rle.encode(mask))
    return masks


def _join(objects: Sequence[TruthObject], masks: Mapping[int, TruthObject], annotated: bool) -> tuple[TruthObject, ...]:
    """Annotated objects with the masks that are theirs, followed by the masks that are nobody's."""
    joined = list(objects)
    left = []
    for mask, owner in zip(masks.values(), owners(objects, list(masks.values()), list(masks)), strict=True):
        if owner is None:
            left.append(replace(mask, has_box=not annotated))
        else:
            joined[owner] = replace(objects[owner], mask=mask.mask)
    return (*joined, *left)
