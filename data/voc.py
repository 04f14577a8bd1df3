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

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from xml.etree import ElementTree

from data import sbd
from data.decode import DecodeError, image_size
from data.errors import InputError, nearest, some
from data.files import Folder
from data.records import ImageList, ImageRecord

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
PAPER_SPLIT = "trainval-no-segval"
AUGMENTED_SPLIT = "train-aug"
CLASS_LIST_SUFFIXES = ("_train", "_val", "_trainval", "_test")
"""`aeroplane_train.txt` lists all images with a verdict per class: not a split."""


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
        names = self.folder.lines("classes.txt")
        if not names or len(set(names)) != len(names):
            raise InputError(f"{self.folder.path('classes.txt')}: empty or a name twice; write one class name a line")
        return tuple(names)

    @cached_property
    def files(self) -> dict[str, str]:
        """Path of every image file by id; SBD's own copies serve where JPEGImages has none."""
        places = [(self.folder, "JPEGImages")] if self.sbd is None else [(self.sbd, "img"), (self.folder, "JPEGImages")]
        return {name.rpartition(".")[0]: root.path(part, name) for root, part in places for name in root.names(part)}

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
            return _read_list(self.sbd, f"{split.removeprefix('sbd-')}.txt")
        kind = "Segmentation" if split.startswith("seg-") else "Main"
        return _read_list(self.folder, "ImageSets", kind, f"{split.removeprefix('seg-')}.txt")

    def annotation(self, image_id: str) -> ElementTree.Element:
        """Root of the image's XML; InputError if it is missing or broken."""
        try:
            return ElementTree.fromstring(self.folder.read("Annotations", f"{image_id}.xml"))
        except ElementTree.ParseError as error:
            path = self.folder.path("Annotations", f"{image_id}.xml")
            raise InputError(f"{path}: broken XML ({error}); restore the file") from error

    def class_id(self, name: str | None, image_id: str) -> int:
        """0-based class id of an annotated name; InputError if the name is unknown."""
        if name is None or (key := name.strip()) not in self.class_names:
            path = self.folder.path("Annotations", f"{image_id}.xml")
            hint = nearest(name or "", self.class_names)
            raise InputError(f"{path}: unknown class '{name}'{hint} (a classes.txt beside JPEGImages sets the names)")
        return self.class_names.index(key)

    def _lists(self, kind: str) -> list[str]:
        stems = [n.removesuffix(".txt") for n in self.folder.names("ImageSets", kind) if n.endswith(".txt")]
        return [stem for stem in stems if not stem.endswith(CLASS_LIST_SUFFIXES)]


def load_images(layout: VocLayout, spec: str, split: str) -> ImageList:
    """The records of a split. Sizes come from the XML, else from the image's header.

    Raises InputError for images that are listed but missing, without annotation or of an unknown class.
    """
    ids = layout.ids(split)
    if missing := [i for i in ids if i not in layout.files]:
        raise InputError(
            f"{layout.folder.path('JPEGImages')}: {len(missing)} images of split '{split}' are missing: {some(missing)}"
            "; add the files or take them out of the list"
        )
    annotated = {name.removesuffix(".xml") for name in layout.folder.names("Annotations")}
    in_sbd = sbd.ids(layout.sbd) if layout.sbd else frozenset()
    if missing := [i for i in ids if i not in annotated and i not in in_sbd]:
        raise InputError(
            f"{layout.folder.path('Annotations')}: {len(missing)} images of split '{split}' have no annotation: "
            f"{some([f'{i}.xml' for i in missing])}; add the files or take the images out of the list"
        )
    records = tuple(_record(layout, i, from_sbd=i not in annotated) for i in ids)
    category_ids = tuple(range(1, len(layout.class_names) + 1))
    return ImageList(spec, split, layout.class_names, category_ids, records)


def default_splits(layout: VocLayout) -> tuple[str, str]:
    """The paper's training and evaluation splits where the lists exist, else the usual Main lists."""
    known = layout.splits()
    train = _first(known, (PAPER_SPLIT, "trainval", "train"), layout)
    return train, _first(known, ("seg-val", "test" if train == "trainval" else "val", "val", "test"), layout)


def _first(known: list[str], wanted: Iterable[str], layout: VocLayout) -> str:
    for name in wanted:
        if name in known:
            return name
    raise InputError(f"{layout.folder.path('ImageSets')}: none of the lists {', '.join(wanted)}; name the splits")


def _record(layout: VocLayout, image_id: str, from_sbd: bool) -> ImageRecord:
    path = layout.files[image_id]
    if from_sbd and layout.sbd is not None:
        categories = sbd.categories(layout.sbd, image_id)
        label = {layout.class_id(CLASSES[c - 1], image_id) for c in categories}
        return ImageRecord(image_id, path, _header_size(path, layout.exif), tuple(sorted(label)))
    root = layout.annotation(image_id)
    label = {layout.class_id(item.findtext("name"), image_id) for item in root.findall("object")}
    size = _annotated_size(root) or _header_size(path, layout.exif)
    return ImageRecord(image_id, path, size, tuple(sorted(label)))


def _annotated_size(root: ElementTree.Element) -> tuple[int, int] | None:
    try:
        height, width = (int(float(root.findtext(f"size/{side}", ""))) for side in ("height", "width"))
    except ValueError:
        return None
    return (height, width) if height > 0 and width > 0 else None


def _header_size(path: str, exif: bool) -> tuple[int, int]:
    try:
        return image_size(path, exif=exif)
    except DecodeError:
        return 0, 0  # the stages record the reason when they decode it


def _read_list(folder: Folder, *parts: str) -> list[str]:
    ids = [line.split()[0] for line in folder.lines(*parts)]
    if len(unique := set(ids)) != len(ids):
        twice = [i for i in unique if ids.count(i) > 1]
        raise InputError(f"{folder.path(*parts)}: listed twice: {some(sorted(twice))}; remove the repetition")
    if not ids:
        raise InputError(f"{folder.path(*parts)}: the list is empty; write one image id a line")
    return ids
