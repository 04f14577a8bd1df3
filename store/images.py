"""The image list of a store."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.columns import TOGETHER, Texts
from data.errors import InputError, some
from data.records import ImageList, image_digest

HOW_TOLD_APART = (
    "images are told apart by id and size: list one whose file was replaced by another of the same size in a file for "
    "precompute --images"
)
"""What a user has to know of a store that is complete."""


def label_digest(labels: np.ndarray) -> str:
    """SHA-256 (hex) of image-level labels (N, C) bool."""
    return digest_of_parts([labels])


def digest_of_parts(parts: Iterable[np.ndarray]) -> str:
    """As `label_digest`, of labels (N, C) that come some images at a time."""
    digest = hashlib.sha256()
    for labels in parts:
        digest.update(pack_labels(labels).tobytes())
    return digest.hexdigest()


def listed_label_digest(images: ImageList) -> str:
    """`label_digest` of an image list, without the matrix of all its labels."""
    return digest_of_parts(images.label_matrix(k, k + TOGETHER) for k in range(0, len(images), TOGETHER))


@dataclass(frozen=True)
class ListedImages:
    """Which images a store holds, in store order.

    ids: N image ids. sizes: (N, 2) int32 height, width.
    """

    ids: Texts
    sizes: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["ListedImages"]) -> "ListedImages":
        """One behind the other."""
        return ListedImages(Texts.joined(part.ids for part in parts), np.concatenate([part.sizes for part in parts]))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> "ListedImages":
        return ListedImages(self.ids[rows], self.sizes[rows])

    def digest(self) -> str:
        """As `data.records.ImageList.digest`."""
        return image_digest(self.ids, self.sizes)

    def align(self, images: ImageList, url: str) -> ImageList:
        """`images` in this order. Raises InputError, with the store's `url`, if an id or a size differs."""
        places = images.ids.places(self.ids)
        missing = np.flatnonzero(places < 0)
        if len(missing):
            what = f"lacks '{self.ids[missing[0]]}' and {len(missing) - 1} more"
            raise InputError(f"{images.spec} {images.split}: {what}; {url} holds another image list")
        added = np.flatnonzero(self.ids.places(images.ids) < 0) if len(images) > len(self) else missing
        if len(added):
            raise InputError(
                f"{images.spec} {images.split}: has {len(added)} images the store {url} has not "
                f"('{images.ids[added[0]]}' first); precompute adds them"
            )
        aligned = _taken(images, places)
        _refuse_other_sizes(aligned, self.sizes, url)
        return aligned

    def part(self, images: ImageList, url: str) -> tuple[ImageList, np.ndarray]:
        """`images`, which may be some of these, in this order, and their places (n,) int64. Raises InputError, with
        the store's `url`, for those that are not here or have another size."""
        missing = images.ids.take(np.flatnonzero(self.ids.places(images.ids) < 0))
        if len(missing):
            raise InputError(
                f"{images.spec} {images.split}: {len(missing)} of {len(images)} images are not in the store {url}: "
                f"{some(missing)}; name a store that holds them, or `precompute` a split of all (two are joined by +)"
            )
        there = images.ids.places(self.ids)
        places = np.flatnonzero(there >= 0)
        found = _taken(images, there[places])
        _refuse_other_sizes(found, self.sizes[places], url)
        return found, places


def only_listed(images: ImageList, listed: ListedImages) -> ImageList:
    """`images` without those that are not `listed`."""
    return _taken(images, np.flatnonzero(listed.ids.places(images.ids) >= 0))


def _taken(images: ImageList, rows: np.ndarray) -> ImageList:
    """The images at `rows` of a list, in that order."""
    same = len(rows) == len(images) and bool((rows == np.arange(len(rows))).all())
    return images if same else replace(images, records=images.columns.take(rows))


def _refuse_other_sizes(images: ImageList, sizes: np.ndarray, url: str) -> None:
    """Raises InputError where an image is not of the size (n, 2) that the store at `url` has of it."""
    for place in np.flatnonzero((images.size_matrix() != sizes).any(1)).tolist():
        record, size = images.records[place], tuple(sizes[place].tolist())
        raise InputError(f"{record.path}: is {record.size[0]} x {record.size[1]} but {url} has {size}")


@dataclass(frozen=True)
class StoredImages(ListedImages):
    """The image list of a store with what training learns from.

    packed: (N, ceil(C / 8)) uint8, the image-level labels as `pack_labels` makes them.
    """

    packed: np.ndarray
    class_names: tuple[str, ...]
    spec: str
    split: str

    def labels(self, rows: int | np.ndarray | None = None) -> np.ndarray:
        """Whether each class is present: (N, C) bool of all images, (n, C) of those at `rows` (n,), (C,) of one."""
        packed = self.packed if rows is None else self.packed[rows]
        return np.unpackbits(packed, axis=-1, count=len(self.class_names)).view(bool)


def pack_labels(labels: np.ndarray) -> np.ndarray:
    """Labels (N, C) bool as (N, ceil(C / 8)) uint8, the first class in the highest bit."""
    return np.packbits(labels, axis=1)
