"""The Pascal VOC layout: image lists, sizes and image-level labels. Ground truth is read in data/voc_truth.py.

Any data set in this layout works: a `classes.txt` (one name a line) beside `JPEGImages` replaces VOC's 20 names.

Splits, as far as their files exist:

| Split | Images |
|---|---|
| `<name>` | `ImageSets/Main/<name>.txt` (train, val, trainval, test) |
| `seg-<name>` | `ImageSets/Segmentation/<name>.txt` |
| `trainval-no-segval` | Main trainval without Segmentation val: the paper's training set |
| `sbd-train`, `sbd-val` | lists of SBD, found at `DIR/sbd` or given as `voc:DIR?sbd=DIR2` |
| `train-aug` | Segmentation train, then SBD train and val without Segmentation val (10,582 images in VOC 2012) |

A class is labelled present if any object of it is annotated, difficult or not: the flag belongs to evaluation, and an
image-level label says what is in the picture.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from xml.etree import ElementTree

from data import sbd
from data.errors import InputError, nearest, some
from data.files import Folder
from data.image_files import header_sizes
from data.names import SUFFIXES, class_name, is_image, name_key, relative, stem
from data.numbers import LARGEST_AREA
from data.records import ImageList, ImageRecord, Records

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
PAPER_SPLIT = "trainval-no-segval"
AUGMENTED_SPLIT = "train-aug"
CLASS_LIST_SUFFIXES = ("_train", "_val", "_trainval", "_test")
"""`aeroplane_train.txt` lists all images with a verdict on a class: not a split."""
ROOT = "annotation"
"""Root element of an annotation's XML."""
VERDICT = re.compile(r"\s+[+-]?[01]$")
"""What follows an image in the list of a class."""


@dataclass(frozen=True)
class VocLayout:
    """Where things lie in a VOC folder; shared by the readers of labels and of truth.

    exif: whether sizes that headers tell are those of the upright picture.
    """

    folder: Folder
    sbd: Folder | None = None
    exif: bool = False

    @classmethod
    def at(cls, place: str, sbd_place: str | None) -> "VocLayout":
        """The layout at `place`; InputError if there is no JPEGImages, or no SBD where one was named."""
        folder = Folder.at(place)
        if not folder.has("JPEGImages"):
            raise InputError(f"{folder.url}: no folder JPEGImages in it; give the folder that holds JPEGImages")
        return cls(folder, sbd.find(Folder.at(sbd_place) if sbd_place else folder.below("sbd"), bool(sbd_place)))

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """VOC's 20 names, or those of classes.txt."""
        if not self.folder.has("classes.txt"):
            return CLASSES
        names = [class_name(line) for line in self.folder.lines("classes.txt")]
        if not names or len(set(names)) != len(names):
            raise InputError(f"{self.folder.path('classes.txt')}: empty or a name twice; write one class name a line")
        return tuple(names)

    @cached_property
    def files(self) -> dict[str, list[str]]:
        """Paths of the image files of every id, likeliest first; SBD's own copies serve where JPEGImages has none."""
        found: dict[str, list[str]] = defaultdict(list)
        for root in [self.folder.below("JPEGImages")] + ([self.sbd.below("img")] if self.sbd else []):
            names = sorted(filter(is_image, root.files()), key=lambda name: SUFFIXES.index(_suffix(name)))
            for image_id, paths in _grouped(names).items():
                found.setdefault(image_id, [root.path(name) for name in paths])
        return found

    @cached_property
    def annotated(self) -> frozenset[str]:
        """Ids of the images that have an XML."""
        names = self.folder.below("Annotations").files()
        return frozenset(name.removesuffix(".xml") for name in names if name.endswith(".xml"))

    def image_path(self, image_id: str, annotation: ElementTree.Element | None) -> str:
        """Path of an image; of several files of this name the one that its annotation names, or else the likeliest."""
        paths = self.files[image_id]
        named = relative(annotation.findtext("filename", "") if annotation is not None else "").rpartition("/")[2]
        return next((path for path in paths if path.rpartition("/")[2] == named), paths[0])

    def splits(self) -> list[str]:
        """Names of the splits that can be read."""
        main, segmentation = self._lists("Main"), self._lists("Segmentation")
        names = [*main, *(f"seg-{name}" for name in segmentation)]
        if "trainval" in main and "val" in segmentation:
            names.append(PAPER_SPLIT)
        if self.sbd is not None:
            names += ["sbd-train", "sbd-val"]
            if {"train", "val"} <= set(segmentation):
                names.append(AUGMENTED_SPLIT)
        return names

    def ids(self, split: str) -> list[str]:
        """Image ids of a split in order; InputError for an unknown split or an id listed twice."""
        if split not in (known := self.splits()):
            raise InputError(f"{self.folder.url}: no split '{split}'{nearest(split, known)}")
        if split == PAPER_SPLIT:
            held_out = set(self.ids("seg-val"))
            return [i for i in self.ids("trainval") if i not in held_out]
        if split == AUGMENTED_SPLIT:
            held_out = set(self.ids("seg-val"))
            union = dict.fromkeys([*self.ids("seg-train"), *self.ids("sbd-train"), *self.ids("sbd-val")])
            return [i for i in union if i not in held_out]
        if split.startswith("sbd-") and self.sbd is not None:
            return self._read_list(self.sbd, f"{split.removeprefix('sbd-')}.txt")
        kind = "Segmentation" if split.startswith("seg-") else "Main"
        return self._read_list(self.folder, "ImageSets", kind, f"{split.removeprefix('seg-')}.txt")

    def annotation(self, image_id: str) -> ElementTree.Element:
        """Root of the image's XML, tags without namespaces; InputError if it is missing, broken or something else."""
        path = self.folder.path("Annotations", f"{image_id}.xml")
        try:
            root = ElementTree.fromstring(self.folder.read("Annotations", f"{image_id}.xml"))
        except (ElementTree.ParseError, LookupError, ValueError) as error:  # also unknown or wrong encodings
            raise InputError(f"{path}: broken XML ({error}); restore the file") from error
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        if root.tag != ROOT and not any(root.find(tag) is not None for tag in ("object", "size", "filename")):
            raise InputError(f"{path}: no VOC annotation: its root is '{root.tag:.60}', not '{ROOT}'; restore the file")
        if len(root.findall("object")) < len(list(root.iter("object"))):
            raise InputError(f"{path}: objects within other elements; put every 'object' directly into '{ROOT}'")
        return root

    def class_id(self, name: str | None, image_id: str) -> int:
        """0-based class id of an annotated name; InputError if the name is unknown."""
        path = self.folder.path("Annotations", f"{image_id}.xml")
        if name is None or not (key := class_name(name)):
            raise InputError(f"{path}: an object has no name; write its class")
        if key not in self.class_names:
            hint = nearest(name, self.class_names)
            raise InputError(f"{path}: unknown class '{name}'{hint} (a classes.txt beside JPEGImages sets the names)")
        return self.class_names.index(key)

    def _lists(self, kind: str) -> list[str]:
        stems = [n.removesuffix(".txt") for n in self.folder.names("ImageSets", kind) if n.endswith(".txt")]
        return [stem for stem in stems if not self._is_of_class(stem)]

    def _is_of_class(self, stem: str) -> bool:
        """Whether a list is one of a class, as `aeroplane_train` is, and not one of the user's, as `farm_train`."""
        names = {stem.removesuffix(suffix) for suffix in CLASS_LIST_SUFFIXES if stem.endswith(suffix)}
        return not names.isdisjoint((*CLASSES, *self.class_names))

    def _read_list(self, folder: Folder, *parts: str) -> list[str]:
        ids = [self._listed_id(line) for line in folder.lines(*parts)]
        if len(unique := set(ids)) != len(ids):
            twice = [i for i in unique if ids.count(i) > 1]
            raise InputError(f"{folder.path(*parts)}: listed twice: {some(sorted(twice))}; remove the repetition")
        if not ids:
            raise InputError(f"{folder.path(*parts)}: the list is empty; write one image id a line")
        return ids

    def _listed_id(self, line: str) -> str:
        """The image that a line of a list names: by id, which may hold blanks, or by file; a verdict may follow."""
        readings = list(dict.fromkeys((line, VERDICT.sub("", line), line.split()[0])))
        for reading in readings:
            for name in _spellings(reading):
                if name in self.files:
                    return name
        for reading in readings:
            for name in _spellings(reading):
                if name_key(name) in self._ids_by_key:
                    return self._ids_by_key[name_key(name)]
        return readings[1] if len(readings) > 1 else line

    @cached_property
    def _ids_by_key(self) -> dict[str, str]:
        """Ids by what their spellings share, where that is of one id only."""
        grouped: dict[str, list[str]] = defaultdict(list)
        for image_id in self.files:
            grouped[name_key(image_id)].append(image_id)
        return {key: ids[0] for key, ids in grouped.items() if len(ids) == 1}


def load_images(layout: VocLayout, spec: str, split: str) -> ImageList:
    """The records of a split. Sizes come from the XML, else from the image's header.

    A list of which no image is annotated is one of test images: they have no labels. Raises InputError for images that
    are listed but missing, of an unknown class, or without annotation in a list that has some.
    """
    ids = layout.ids(split)
    if missing := [i for i in ids if i not in layout.files]:
        raise InputError(
            f"{layout.folder.path('JPEGImages')}: {len(missing)} images of split '{split}' are missing: {some(missing)}"
            "; add the files or take them out of the list"
        )
    in_sbd = sbd.ids(layout.sbd) if layout.sbd else frozenset()
    missing = [i for i in ids if i not in layout.annotated and i not in in_sbd]
    if 0 < len(missing) < len(ids):
        raise InputError(
            f"{layout.folder.path('Annotations')}: {len(missing)} images of split '{split}' have no annotation: "
            f"{some([f'{i}.xml' for i in missing])}; add the files or take the images out of the list"
        )
    category_ids = tuple(range(1, len(layout.class_names) + 1))
    return ImageList(spec, split, layout.class_names, category_ids, Records.of(_records(layout, ids, in_sbd)))


def default_splits(layout: VocLayout) -> tuple[str, str]:
    """The paper's training and evaluation splits where the lists exist, else the usual Main lists."""
    known = layout.splits()
    train = _first(known, (PAPER_SPLIT, "trainval", "train"), layout)
    return train, _first(known, ("seg-val", "test" if train == "trainval" else "val", "val", "test"), layout)


def _first(known: list[str], wanted: Iterable[str], layout: VocLayout) -> str:
    for name in wanted:
        if name in known:
            return name
    raise InputError(
        f"{layout.folder.path('ImageSets')}: none of the lists {', '.join(wanted)}; name the splits{nearest('', known)}"
    )


def _records(layout: VocLayout, ids: Iterable[str], in_sbd: frozenset[str]) -> Iterator[ImageRecord]:
    found: list[ImageRecord] = []
    for image_id in ids:
        annotation = layout.annotation(image_id) if image_id in layout.annotated else None
        size, names = None, []
        if annotation is not None:
            size, names = _annotated_size(annotation), [o.findtext("name") for o in annotation.findall("object")]
        elif image_id in in_sbd and layout.sbd is not None:
            names = [CLASSES[number - 1] for number in sbd.categories(layout.sbd, image_id)]
        label = tuple(sorted({layout.class_id(name, image_id) for name in names}))
        found.append(ImageRecord(image_id, layout.image_path(image_id, annotation), size or (0, 0), label))
    unstated = [record.path for record in found if record.size == (0, 0)]
    read = dict(zip(unstated, header_sizes(unstated, exif=layout.exif), strict=True))
    return (replace(record, size=read.get(record.path, record.size)) for record in found)


def _annotated_size(root: ElementTree.Element) -> tuple[int, int] | None:
    """(height, width) as the XML says; None where it says nothing that could be a size."""
    try:
        height, width = (float(root.findtext(f"size/{side}", "")) for side in ("height", "width"))
    except ValueError:
        return None
    if not (math.isfinite(height * width) and height >= 1 and width >= 1 and height * width <= LARGEST_AREA):
        return None
    return int(height), int(width)


def _grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Files by what they are called without suffix."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[stem(name)].append(name)
    return found


def _suffix(name: str) -> str:
    return name[len(stem(name)) :].lower()


def _spellings(text: str) -> tuple[str, ...]:
    """An id as lists write it: itself, or the path of its file, below JPEGImages or anywhere."""
    path = relative(text)
    return text, path, stem(path), stem(path).rpartition("JPEGImages/")[2]
