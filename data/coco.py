"""The COCO layout: `annotations/instances_<split>.json` and image folders. Ground truth is read in data/coco_truth.py.

Images of split `<split>` lie in `<split>/` or `images/<split>/`; those of lists that have no folder of their own
(minival, valminusminival2014) in the folder that their names tell (COCO_val2014_…). A class is labelled present if any
object or crowd of it is annotated. Image ids are the integers of the file, as text.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from data.errors import InputError, nearest, some
from data.files import Folder
from data.json_stream import top_level
from data.records import ImageList, ImageRecord

ANNOTATIONS, PREFIX, SUFFIX = "annotations", "instances_", ".json"
FOLDER_IN_NAME = re.compile(r"COCO_(\w+)_\d+\.")


@dataclass(frozen=True)
class CocoLayout:
    """Where things lie in a COCO folder; shared by the readers of labels and of truth."""

    folder: Folder

    @classmethod
    def at(cls, place: str) -> "CocoLayout":
        """The layout at `place`; InputError if it has no annotation file."""
        layout = cls(Folder.at(place))
        if not layout.splits():
            path = layout.folder.path(ANNOTATIONS, f"{PREFIX}<split>{SUFFIX}")
            raise InputError(f"{path}: no such file; give the folder that holds annotations/ and the image folders")
        return layout

    def splits(self) -> list[str]:
        """Names of the splits that have an annotation file."""
        names = self.folder.names(ANNOTATIONS)
        return [n[len(PREFIX) : -len(SUFFIX)] for n in names if n.startswith(PREFIX) and n.endswith(SUFFIX)]

    def annotation_path(self, split: str) -> tuple[str, str]:
        """Path parts of the split's annotation file; InputError for an unknown split."""
        if split not in (known := self.splits()):
            raise InputError(f"{self.folder.url}: no split '{split}'{nearest(split, known)}")
        return ANNOTATIONS, f"{PREFIX}{split}{SUFFIX}"


def load_images(layout: CocoLayout, spec: str, split: str) -> ImageList:
    """The records of a split in the file's order, sizes as the file says; class ids follow the order of category ids.

    Raises InputError for broken JSON, missing images, ids used twice, annotations of unknown images or categories.
    """
    parts = layout.annotation_path(split)
    where = layout.folder.path(*parts)
    images: dict[int, dict[str, Any]] = {}
    names: dict[int, str] = {}
    present: set[tuple[int, int]] = set()
    with layout.folder.open(*parts) as stream:
        for key, item in top_level(stream, where, polygons=False):
            try:
                if key == "images":
                    _add_once(images, item["id"], item, "image", where)
                elif key == "categories":
                    _add_once(names, item["id"], str(item["name"]), "category", where)
                elif key == "annotations":
                    present.add((item["image_id"], item["category_id"]))
            except (KeyError, TypeError) as error:
                raise InputError(f"{where}: an entry of '{key}' lacks {error}; restore the file") from error
    if not images or not names:
        raise InputError(f"{where}: no 'images' or no 'categories'; an instances file of COCO has both")
    class_of = {category: class_id for class_id, category in enumerate(sorted(names))}
    labels = _labels(present, images, class_of, where)
    records = tuple(_records(layout, split, images, labels, where))
    return ImageList(spec, split, tuple(names[c] for c in class_of), tuple(class_of), records)


def default_splits(layout: CocoLayout) -> tuple[str, str]:
    """The latest train and val splits (train2017, val2017)."""
    known = sorted(layout.splits(), reverse=True)
    train = next((name for name in known if name.startswith("train")), None)
    val = next((name for name in known if name.startswith("val")), None)
    if train is None or val is None:
        raise InputError(f"{layout.folder.path(ANNOTATIONS)}: no train or no val split; name the splits")
    return train, val


def _add_once(table: dict[int, Any], key: int, value: Any, kind: str, where: str) -> None:
    if key in table:
        raise InputError(f"{where}: {kind} id {key} is used twice; remove the repetition")
    table[key] = value


def _labels(
    present: Iterable[tuple[int, int]], images: Mapping[int, Any], class_of: Mapping[int, int], where: str
) -> dict[int, list[int]]:
    labels: dict[int, list[int]] = {image_id: [] for image_id in images}
    for image_id, category in present:
        if image_id not in images:
            raise InputError(f"{where}: an annotation names the unknown image {image_id}; restore the file")
        if category not in class_of:
            raise InputError(f"{where}: an annotation of image {image_id} names the unknown category {category}")
        labels[image_id].append(class_of[category])
    return labels


def _records(
    layout: CocoLayout, split: str, images: dict[int, dict[str, Any]], labels: dict[int, list[int]], where: str
) -> Iterable[ImageRecord]:
    listed = cache(lambda folder: frozenset(folder.names()))
    missing: list[str] = []
    for image_id, item in images.items():
        try:
            name, size = str(item["file_name"]), (int(item["height"]), int(item["width"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: image {image_id} lacks a usable {error}; restore the file") from error
        folder = next((f for f in _image_folders(layout, split, name) if name in listed(f)), None)
        if folder is None:
            missing.append(name)
            continue
        yield ImageRecord(str(image_id), folder.path(name), size, tuple(sorted(labels[image_id])))
    if missing:
        place = layout.folder.path(split)
        raise InputError(f"{place}: {len(missing)} images of {where} are missing: {some(missing)}; add the files")


def _image_folders(layout: CocoLayout, split: str, name: str) -> list[Folder]:
    """Where an image may lie, likeliest first."""
    match = FOLDER_IN_NAME.match(name)
    inner = (split, match.group(1)) if match else (split,)
    return [layout.folder.below(*parts) for folder in inner for parts in ((folder,), ("images", folder))]
