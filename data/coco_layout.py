"""Where annotation files and images lie in a COCO folder, in the original layout and in those that tools export.

| Annotation file | Split |
|---|---|
| `annotations/instances_NAME.json`, or `image_info_NAME.json`, or any other `NAME.json` there | `NAME` |
| without such: `NAME/_annotations.coco.json` (Roboflow), `NAME/annotations.json`, … | `NAME` |
| without such: `NAME.json` beside the images' folder (`labels.json`, `result.json`, …) | `NAME` |

An image is looked for, by its `file_name` with all its folders, in the split's own folder and in the usual others, then
below the whole folder, where just one file may end with that path.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from data.errors import InputError, nearest
from data.files import Folder
from data.image_files import FileIndex
from data.names import leaves_root, name_key, relative

ANNOTATIONS, SUFFIX = "annotations", ".json"
PREFIXES = ("instances_", "image_info_")
"""Of annotation files, the better one first: those called image_info_ tell of test images, without annotations."""
OTHER_TASKS = ("person_keypoints_", "captions_", "stuff_", "panoptic_", "densepose_", "deprecated-challenge")
SPLIT_FILES = ("_annotations.coco.json", "annotations.json", "instances.json", "labels.json", "coco.json")
"""Annotation files of tools that give every split a folder."""
SHARED_FOLDERS = ((), ("images",), ("data",), ("JPEGImages",))
"""Folders of images that are not named after a split."""
FOLDER_IN_NAME = re.compile(r"COCO_(\w+)_\d+\.")


@dataclass(frozen=True)
class CocoLayout:
    """Where things lie in a COCO folder; shared by the readers of labels and of truth.

    exif: whether sizes that headers tell are those of the upright picture.
    """

    folder: Folder
    exif: bool = False

    @classmethod
    def at(cls, place: str) -> "CocoLayout":
        """The layout at `place`; InputError if it has no annotation file."""
        layout = cls(Folder.at(place))
        if not layout.splits():
            path = layout.folder.path(ANNOTATIONS, f"{PREFIXES[0]}<split>{SUFFIX}")
            raise InputError(f"{path}: no such file; give the folder that holds annotations/ and the image folders")
        return layout

    def splits(self) -> list[str]:
        """Names of the splits that have an annotation file."""
        return list(self._annotation_files)

    def annotation_path(self, split: str) -> tuple[str, ...]:
        """Path parts of the split's annotation file; InputError for an unknown split."""
        known = self._annotation_files
        if split in known:
            return known[split]
        same = [name for name in known if name_key(name) == name_key(split)]
        if len(same) != 1:
            raise InputError(f"{self.folder.url}: no split '{split}'{nearest(split, known)}")
        return known[same[0]]

    def is_annotated(self, split: str) -> bool:
        """Whether the split's file is one that holds annotations; without, it lists test images."""
        return not self.annotation_path(split)[-1].startswith(PREFIXES[1])

    def image_finder(self, split: str) -> "ImageFinder":
        return ImageFinder(self.folder, split, self.annotation_path(split))

    @cached_property
    def _annotation_files(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        names = [name for name in self.folder.names(ANNOTATIONS) if name.endswith(SUFFIX) and not name.startswith(".")]
        for prefix in (*PREFIXES, ""):
            for name in names:
                if name.startswith(prefix) and (prefix or not name.startswith((*PREFIXES, *OTHER_TASKS))):
                    found.setdefault(name[len(prefix) : -len(SUFFIX)], (ANNOTATIONS, name))
        return dict(sorted(found.items())) or self._exported_files()

    def _exported_files(self) -> dict[str, tuple[str, ...]]:
        names = self.folder.names()
        found: dict[str, tuple[str, ...]] = {}
        for name in names:
            inner = () if "." in name else self.folder.names(name)
            if file := next((file for file in SPLIT_FILES if file in inner), None):
                found[name] = (name, file)
        beside = [name for name in names if name.endswith(SUFFIX) and not name.startswith(".")]
        return found or {name.removesuffix(SUFFIX): (name,) for name in beside}


class ImageFinder:
    """Finds the image files that one annotation file names."""

    def __init__(self, folder: Folder, split: str, annotation_path: tuple[str, ...]) -> None:
        self.folder, self.split = folder, split
        self._beside = annotation_path[:-1]
        self._index = FileIndex(folder)
        self._listed: dict[tuple[str, ...], frozenset[str]] = {}

    def find(self, file_name: str) -> str | None:
        """Path of the image that an entry calls `file_name`; None if it is nowhere.

        Raises ValueError, beginning with the field, if several files could be it.
        """
        *inner, name = relative(file_name).split("/")
        for parts in self._likely(name):
            if ".." not in inner and name in self._names((*parts, *inner)):
                return self.folder.path(*parts, *inner, name)
        found = self._index.ending("/".join((*inner, name)))
        while leaves_root(file_name) and inner and not found:  # a path of another machine: what of it is here, too
            inner = inner[1:]
            found = self._index.ending("/".join((*inner, name)))
        if len(found) > 1:
            found = [path for path in found if self._of_split(path)] or found
        if len(found) > 1:
            raise ValueError(f"file_name: '{file_name}' may be {found[0]} or {found[1]}; write it with its folder")
        return self.folder.path(found[0]) if found else None

    def _likely(self, name: str) -> list[tuple[str, ...]]:
        """Folders where an image may lie, likeliest first."""
        match = FOLDER_IN_NAME.match(name)
        of_split = (self.split, match.group(1)) if match else (self.split,)
        own = [parts for split in of_split for parts in ((split,), ("images", split))]
        return [*own, self._beside, *SHARED_FOLDERS]

    def _names(self, parts: tuple[str, ...]) -> frozenset[str]:
        if parts not in self._listed:
            self._listed[parts] = frozenset(self.folder.names(*parts))
        return self._listed[parts]

    def _of_split(self, path: str) -> bool:
        """Whether a folder of the path is named after the split, with or without its year."""
        wanted = name_key(self.split).rstrip("0123456789")
        return any(name_key(part).rstrip("0123456789") == wanted for part in path.split("/")[:-1])
