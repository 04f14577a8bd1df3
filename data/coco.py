"""The COCO format: images, sizes and image-level labels. Ground truth is read in data/coco_truth.py.

A class is labelled present if any object or crowd of it is annotated. Image ids are those of the file, as text: whole
numbers in COCO, and 7, 7.0 and "7" are one. Lists of test images (image_info_…), which have no annotations, give images
without labels.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from data.coco_layout import ANNOTATIONS, CocoLayout, ImageFinder
from data.errors import InputError, nearest, some
from data.files import asking
from data.image_files import header_sizes
from data.json_stream import top_level
from data.names import usual_split
from data.numbers import identifier, image_size, whole
from data.records import ImageList, ImageRecord, Records

KINDS = {"images": "image", "annotations": "annotation", "categories": "category"}


@dataclass
class _Content:
    """What an annotation file says. images: entries by id; names: of the categories, by id; present: pairs (image,
    category) as the annotations write them."""

    images: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    present: set[tuple[Any, Any]] = field(default_factory=set)


def load_images(layout: CocoLayout, spec: str, split: str) -> ImageList:
    """The records of a split in the file's order; class ids follow the order of category ids.

    Sizes are those of the file, else of the images' headers. Raises InputError for broken JSON, missing images, ids
    used twice, annotations of unknown images or categories.
    """
    parts = layout.annotation_path(split)
    where = layout.folder.path(*parts)
    content = _Content()
    for key, number, item in entries(layout, split, polygons=False):
        try:
            _take(content, key, item)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: {entry_fault(key, number, item, error)}") from error
    for key, found in (("images", content.images), ("categories", content.names)):
        if not found:
            raise InputError(f"{where}: no '{key}' in it; a file of COCO has both, 'images' and 'categories'")
    class_of = {category: class_id for class_id, category in enumerate(sorted(content.names))}
    labels = _labels(content, class_of, where)
    records = Records.of(_records(layout, layout.image_finder(split), content.images, labels, where))
    return ImageList(spec, split, _class_names(content.names), tuple(class_of), records)


def default_splits(layout: CocoLayout) -> tuple[str, str]:
    """The latest train and val splits (train2017, val2017), whatever their spelling."""
    known = [name for name in layout.splits() if layout.is_annotated(name)]
    train, val = usual_split(known, "train"), usual_split(known, "val")
    if train is None or val is None:
        where = layout.folder.path(ANNOTATIONS)
        raise InputError(f"{where}: no train or no val split; name the splits{nearest('', layout.splits())}")
    return train, val


def entries(layout: CocoLayout, split: str, *, polygons: bool) -> Iterator[tuple[str, int, Any]]:
    """(list, number in it from 0, entry) of the split's images, annotations and categories, in the file's order."""
    parts = layout.annotation_path(split)
    counts: Counter[str] = Counter()
    path = layout.folder.path(*parts)
    with layout.folder.open(*parts) as stream, asking(path):
        for key, item in top_level(stream, path, polygons=polygons):
            if key in KINDS:
                yield key, counts[key], item
                counts[key] += 1


def entry_fault(key: str, number: int, item: Any, error: Exception) -> str:
    """What is wrong with an entry of a list, by its id or else its place in the list, and the cure."""
    if not isinstance(item, Mapping):
        return f"entry {number} (the first is 0) of '{key}' is no mapping but {item!r:.60}; restore the file"
    name = f"{KINDS[key]} {item['id']!r:.60}" if "id" in item else f"entry {number} (the first is 0) of '{key}'"
    if key == "annotations" and "image_id" in item:
        name += f" of image {item['image_id']!r:.60}"
    if isinstance(error, KeyError):
        return f"{name}: an entry of '{key}' lacks {error}; restore the file"
    return f"{name} cannot be read ({error}); correct it"


def _take(content: _Content, key: str, item: Mapping[str, Any]) -> None:
    if key == "annotations":
        content.present.add((item["image_id"], item["category_id"]))
        return
    name = identifier(item["id"], "id")
    if key == "images":
        if name in content.images:
            raise ValueError(f"image id {name} is used twice")
        content.images[name] = {k: item.get(k) for k in ("file_name", "height", "width")}
    else:
        category = whole(item["id"], "id")
        if category in content.names:
            raise ValueError(f"category id {category} is used twice")
        content.names[category] = identifier(item["name"], "name")


def _class_names(names: Mapping[int, str]) -> tuple[str, ...]:
    """Names in the order of ids; of a name that several categories have, all but the first get their id."""
    first = {name: category for category, name in sorted(names.items(), reverse=True)}
    return tuple(
        name if first[name] == category else f"{name} ({category})" for category, name in sorted(names.items())
    )


def _labels(content: _Content, class_of: Mapping[int, int], where: str) -> dict[str, set[int]]:
    labels: dict[str, set[int]] = {image_id: set() for image_id in content.images}
    for image, category in content.present:
        try:
            image_id, category_id = identifier(image, "image_id"), whole(category, "category_id")
        except ValueError as error:
            raise InputError(f"{where}: an annotation of image {image!r:.60}: {error}; correct it") from error
        if image_id not in labels:
            raise InputError(
                f"{where}: an annotation names the unknown image {image!r:.60}; "
                f"ids of the file's images look like {some([repr(i) for i in labels], 3)}"
            )
        if category_id not in class_of:
            raise InputError(
                f"{where}: an annotation of image {image_id} names the unknown category {category!r:.60}; "
                f"known: {some([str(c) for c in class_of], 10)}"
            )
        labels[image_id].add(class_of[category_id])
    return labels


def _records(
    layout: CocoLayout,
    finder: ImageFinder,
    images: Mapping[str, Mapping[str, Any]],
    labels: Mapping[str, set[int]],
    where: str,
) -> Iterable[ImageRecord]:
    paths: dict[str, str] = {}
    sizes: dict[str, tuple[int, int] | None] = {}
    missing: list[str] = []
    ids: dict[str, str] = {}
    for image_id, item in images.items():
        try:
            if not isinstance(name := item["file_name"], str) or not name:
                raise ValueError(f"file_name: {name!r:.60} is not the name of a file")
            sizes[image_id] = image_size(item["height"], item["width"])
            path = finder.find(name)
            if path is None:
                missing.append(name)
                continue
            if (other := ids.setdefault(path, image_id)) != image_id:
                listed = images[other]["file_name"]
                raise ValueError(f"file_name: '{name}' is {path}, as is '{listed}' of image {other}")
            paths[image_id] = path
        except ValueError as error:
            raise InputError(f"{where}: image {image_id}: {error}; correct it") from error
    if missing:
        place = layout.folder.path(finder.split)
        above = f", or give the folder above, coco:{layout.folder.url.removesuffix('/annotations')}"
        cure = "add the files" + (above if layout.folder.url.endswith("/annotations") else "")
        raise InputError(f"{place}: {len(missing)} images of {where} are missing: {some(missing)}; {cure}")
    unstated = [image_id for image_id, size in sizes.items() if size is None]
    read = dict(zip(unstated, header_sizes([paths[i] for i in unstated], exif=layout.exif), strict=True))
    for image_id in images:
        size = sizes[image_id] or read[image_id]
        yield ImageRecord(image_id, paths[image_id], size, tuple(sorted(labels[image_id])))
