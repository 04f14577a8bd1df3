"""What the rest of the project knows of a data set: ids, paths, sizes and image-level labels. Never ground truth."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

MAX_PIXELS = 100_000_000
"""Largest image that is decoded, height x width, where the SPEC names no other limit."""
GREY_BITS = 16
"""Bits of a 16-bit sample that are used, where the SPEC names no other number."""


class Decoding(TypedDict):
    """How the images of a data set are decoded: the keyword arguments of `data.decode.decode_record`."""

    exif: bool
    max_pixels: int
    grey_bits: int


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image.

    id: as the data set names it ("000012" in VOC, "139" in COCO, the relative path without suffix in a folder).
    path: local path or fsspec URL.
    size: (height, width) in pixels as the decoder delivers it; (0, 0) if the file's header cannot be read.
    label: sorted 0-based ids of the classes that are present (t_c = 1).
    """

    id: str
    path: str
    size: tuple[int, int]
    label: tuple[int, ...]


@dataclass(frozen=True)
class ImageList:
    """The images of one split, in the reader's order.

    spec, split: what the user typed ("voc:DIR", "trainval").
    class_names: C names; class ids inside the project are indices into it (0-based, foreground only).
    category_ids: C ids by which the data set's own files call the classes (COCO: 1..90 with gaps).
    exif: whether the decoder applies the EXIF rotation (folder: yes; VOC and COCO: no, as their annotations assume).
    max_pixels, grey_bits: the decoder's limit, and how many bits of 16-bit samples hold the picture.
    notes: what a user should know of the data set although it is no error, a line each.
    """

    spec: str
    split: str
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    records: tuple[ImageRecord, ...]
    exif: bool = False
    max_pixels: int = MAX_PIXELS
    grey_bits: int = GREY_BITS
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    @property
    def decoding(self) -> Decoding:
        """How its images are decoded."""
        return {"exif": self.exif, "max_pixels": self.max_pixels, "grey_bits": self.grey_bits}

    def label_matrix(self) -> np.ndarray:
        """Image-level labels t: (N, C) bool."""
        matrix = np.zeros((len(self.records), len(self.class_names)), bool)
        for row, record in enumerate(self.records):
            matrix[row, list(record.label)] = True
        return matrix

    def size_matrix(self) -> np.ndarray:
        """Height and width: (N, 2) int32."""
        return np.array([record.size for record in self.records], np.int32).reshape(-1, 2)

    def digest(self) -> str:
        """SHA-256 over ids and sizes in order (no paths: a data set may move)."""
        return image_digest((r.id, *r.size) for r in self.records)


def image_digest(keys: Iterable[tuple[str, int, int]]) -> str:
    """SHA-256 (hex) over (id, height, width) in order."""
    digest = hashlib.sha256()
    for image_id, height, width in keys:
        digest.update(f"{image_id}\0{height}\0{width}\n".encode())
    return digest.hexdigest()
