"""What the rest of the project knows of a data set: ids, paths, sizes and image-level labels. Never ground truth."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypedDict, cast, overload

import numpy as np

from data.columns import TOGETHER, PathPacker, Paths, TextPacker, Texts, encoded

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


class Records(Sequence[ImageRecord]):
    """A sequence of n `ImageRecord`, kept as columns: some 80 bytes an image, of which a slice holds no copy.

    ids, paths: as in the records. sizes: (n, 2) int32. labels: (L,) int32, those of all images one behind the other;
    ends: (n + 1,) int64, where an image's labels begin and end in it.
    """

    __slots__ = ("_ends", "_labels", "ids", "paths", "sizes")

    def __init__(self, ids: Texts, paths: Paths, sizes: np.ndarray, labels: np.ndarray, ends: np.ndarray) -> None:
        self.ids = ids
        self.paths = paths
        self.sizes = sizes
        self._labels = labels
        self._ends = ends

    @classmethod
    def of(cls, records: Iterable[ImageRecord]) -> "Records":
        """Of any records, which are asked for one at a time: those of a generator never are all there."""
        if isinstance(records, Records):
            return records
        ids, paths = TextPacker(), PathPacker()
        sizes, labels, ends = array("i"), array("i"), array("q", [0])
        for record in records:
            ids.add(encoded(record.id))
            paths.add(record.path)
            sizes.extend(record.size)
            labels.extend(record.label)
            ends.append(len(labels))
        size, label, end = (
            np.frombuffer(sizes, np.int32),
            np.frombuffer(labels, np.int32),
            np.frombuffer(ends, np.int64),
        )
        return cls(ids.texts(), paths.paths(), size.reshape(-1, 2), label, end)

    @classmethod
    def joined(cls, *parts: "Records") -> "Records":
        """One behind the other."""
        return cls.of(record for part in parts for record in part)

    def take(self, rows: np.ndarray) -> "Records":
        """Those at `rows` (m,), in that order."""
        counts = np.diff(self._ends)[rows]
        ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        places = np.repeat(self._ends[:-1][rows] - ends[:-1], counts) + np.arange(ends[-1])
        return Records(self.ids.take(rows), self.paths.take(rows), self.sizes[rows], self._labels[places], ends)

    def label_matrix(self, classes: int) -> np.ndarray:
        """(n, classes) bool."""
        matrix = np.zeros((len(self), classes), bool)
        labels = self._labels[self._ends[0] : self._ends[-1]]
        matrix[np.repeat(np.arange(len(self)), np.diff(self._ends)), labels] = True
        return matrix

    @overload
    def __getitem__(self, place: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, place: slice) -> "Records": ...
    def __getitem__(self, place: int | slice) -> "ImageRecord | Records":
        if isinstance(place, slice):
            first, stop, step = place.indices(len(self))
            if step != 1:
                return self.take(np.arange(first, stop, step))
            part, ends = slice(first, stop), self._ends[first : max(first, stop) + 1]
            return Records(self.ids[part], self.paths[part], self.sizes[part], self._labels, ends)
        n = len(self)
        if not -n <= place < n:
            raise IndexError(f"image {place} of {n}")
        place = int(place) % n
        (height, width), (start, stop) = self.sizes[place].tolist(), self._ends[place : place + 2].tolist()
        return ImageRecord(
            self.ids[place], self.paths[place], (height, width), tuple(self._labels[start:stop].tolist())
        )

    def __iter__(self) -> Iterator[ImageRecord]:
        for first in range(0, len(self), TOGETHER):
            part = self[first : first + TOGETHER]
            labels, ends = part._labels, part._ends.tolist()
            columns = zip(part.ids, part.paths, part.sizes.tolist(), ends, ends[1:], strict=False)
            for image_id, path, (height, width), start, stop in columns:
                yield ImageRecord(image_id, path, (height, width), tuple(labels[start:stop].tolist()))

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(self.ids)

    def __reduce__(self) -> tuple[Any, ...]:
        """Of a slice only what is in it."""
        first, stop = int(self._ends[0]), int(self._ends[-1])
        return Records, (self.ids, self.paths, self.sizes, self._labels[first:stop], self._ends - first)

    def __repr__(self) -> str:
        return f"Records({list(self[:2])}{' …' if len(self) > 2 else ''}, n={len(self)})"


@dataclass(frozen=True)
class ImageList:
    """The images of one split, in the reader's order.

    spec, split: what the user typed ("voc:DIR", "trainval").
    class_names: C names; class ids inside the project are indices into it (0-based, foreground only).
    category_ids: C ids by which the data set's own files call the classes (COCO: 1..90 with gaps).
    exif: whether the decoder applies the EXIF rotation (folder: yes; VOC and COCO: no, as their annotations assume).
    max_pixels, grey_bits: the decoder's limit, and how many bits of 16-bit samples hold the picture.
    notes: what a user should know of the data set although it is no error, a line each.
    records: whatever is given is kept as `Records`, so that ten million images take less than a gigabyte.
    """

    spec: str
    split: str
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    records: Sequence[ImageRecord]
    exif: bool = False
    max_pixels: int = MAX_PIXELS
    grey_bits: int = GREY_BITS
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", Records.of(self.records))

    def __len__(self) -> int:
        return len(self.records)

    @property
    def columns(self) -> Records:
        """The records, with their columns."""
        return cast(Records, self.records)

    @property
    def ids(self) -> Texts:
        """The images' ids."""
        return self.columns.ids

    @property
    def decoding(self) -> Decoding:
        """How its images are decoded."""
        return {"exif": self.exif, "max_pixels": self.max_pixels, "grey_bits": self.grey_bits}

    def label_matrix(self, first: int = 0, stop: int | None = None) -> np.ndarray:
        """Image-level labels t of images [first, stop), of all by default: (n, C) bool."""
        return self.columns[first:stop].label_matrix(len(self.class_names))

    def size_matrix(self) -> np.ndarray:
        """Height and width: (N, 2) int32."""
        return self.columns.sizes

    def digest(self) -> str:
        """SHA-256 over ids and sizes in order (no paths: a data set may move)."""
        return image_digest(self.ids, self.size_matrix())


def image_digest(ids: Iterable[str], sizes: np.ndarray) -> str:
    """SHA-256 (hex) over images in order, of `ids` and `sizes` (n, 2)."""
    digest = hashlib.sha256()
    lines = (f"{i}\0{height}\0{width}\n" for i, (height, width) in zip(ids, _rows(sizes), strict=True))
    while part := "".join(islice(lines, TOGETHER)):
        digest.update(part.encode())
    return digest.hexdigest()


def _rows(values: np.ndarray) -> Iterator[list[int]]:
    """Rows (n, k) as lists, made some at a time."""
    for first in range(0, len(values), TOGETHER):
        yield from values[first : first + TOGETHER].tolist()
