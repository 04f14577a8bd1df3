"""The image list of a store."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from data.errors import InputError, some
from data.records import ImageList, image_digest

HOW_TOLD_APART = (
    "images are told apart by id and size: list one whose file was replaced by another of the same size in a file for "
    "precompute --images"
)
"""What a user has to know of a store that is complete."""


def label_digest(labels: np.ndarray) -> str:
    """SHA-256 (hex) of image-level labels (N, C) bool."""
    return hashlib.sha256(np.packbits(labels, axis=1).tobytes()).hexdigest()


@dataclass(frozen=True)
class ListedImages:
    """Which images a store holds, in store order.

    ids: N image ids. sizes: (N, 2) int32 height, width.
    """

    ids: tuple[str, ...]
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def digest(self) -> str:
        """As `data.records.ImageList.digest`."""
        return image_digest((i, int(h), int(w)) for i, (h, w) in zip(self.ids, self.sizes, strict=True))

    def align(self, images: ImageList, url: str) -> ImageList:
        """`images` in this order. Raises InputError, with the store's `url`, if an id or a size differs."""
        by_id = {record.id: record for record in images.records}
        missing = [i for i in self.ids if i not in by_id]
        if missing or len(by_id) > len(self):
            if not missing:
                added = next(i for i in by_id if i not in set(self.ids))
                raise InputError(
                    f"{images.spec} {images.split}: has {len(by_id) - len(self)} images the store {url} has not "
                    f"('{added}' first); precompute adds them"
                )
            what = f"lacks '{missing[0]}' and {len(missing) - 1} more"
            raise InputError(f"{images.spec} {images.split}: {what}; {url} holds another image list")
        aligned = replace(images, records=tuple(by_id[i] for i in self.ids))
        _refuse_other_sizes(aligned, self.sizes, url)
        return aligned

    def part(self, images: ImageList, url: str) -> tuple[ImageList, np.ndarray]:
        """`images`, which may be some of these, in this order, and their places (n,) int64. Raises InputError, with
        the store's `url`, for those that are not here or have another size."""
        by_id = {record.id: record for record in images.records}
        places = np.array([place for place, i in enumerate(self.ids) if i in by_id], np.int64)
        if len(places) < len(by_id):
            known = set(self.ids)
            missing = [i for i in by_id if i not in known]
            raise InputError(
                f"{images.spec} {images.split}: {len(missing)} of {len(by_id)} images are not in the store {url}: "
                f"{some(missing)}; name a store that holds them, or `precompute` a split of all (two are joined by +)"
            )
        found = replace(images, records=tuple(by_id[self.ids[place]] for place in places))
        _refuse_other_sizes(found, self.sizes[places], url)
        return found, places


def _refuse_other_sizes(images: ImageList, sizes: np.ndarray, url: str) -> None:
    """Raises InputError where an image is not of the size (n, 2) that the store at `url` has of it."""
    for record, size in zip(images.records, sizes.tolist(), strict=True):
        if list(record.size) != size:
            raise InputError(f"{record.path}: is {record.size[0]} x {record.size[1]} but {url} has {tuple(size)}")


@dataclass(frozen=True)
class StoredImages(ListedImages):
    """The image list of a store with what training learns from. labels: (N, C) bool."""

    labels: np.ndarray
    class_names: tuple[str, ...]
    spec: str
    split: str
