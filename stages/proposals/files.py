"""Method `files` of stage `proposals`: proposals that others published, looked up by image id.

A folder of MCG `.mat` files, one an image, flat or in sub-folders; or one file of a whole data set, a `.mat` as
selective search publishes it or a detectron2 proposal pickle. Such a file is read whole, once per process; for large
sets on many workers a folder of `.mat` files needs less memory.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from data.boxes import area, clip, xywh_to_xyxy
from data.errors import InputError
from data.files import Folder
from pipeline.spec import ImageFailure
from stages.proposals.formats import PICKLE_SUFFIXES, BadProposals, read_mat, read_mat_table, read_pickle
from stages.proposals.image_names import ImageTable, by_image_name, find, missing, refuse_unclear

MAT = ".mat"
OUTSIDE_TOLERANCE = 2.0
"""Pixels by which a box may leave its image before it counts as outside: rounding of other tools."""
LARGEST_SHARE, SUSPICIOUS_SHARE = 0.25, 0.05
"""Shares of boxes that do not fit: more than the first is refused, more than the second if another reading fits all."""


@dataclass(frozen=True)
class ProposalFiles:
    """Published proposals at `path`: a folder of .mat files, a .mat file or a pickle; local or an fsspec URL.

    mat_table: whether `path` is a .mat file of a whole data set.

    fingerprint: identity of what is read, SHA-256 over a file's content, or over names and sizes of the .mat files.
    Travels to workers as absolute path and fingerprint; they read when needed and keep the content per process.
    Raises InputError at once if there is nothing usable at `path`.
    """

    path: str
    url: str = field(init=False)
    fingerprint: str = field(init=False)
    mat_table: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        folder = Folder.at(self.path)
        if not folder.has():
            raise InputError(f"{self.path}: no such folder or file; give the proposals' folder or pickle")
        fingerprint = digest_of_content(folder) if self._is_file else digest_of_listing(_mat_sizes(folder))
        object.__setattr__(self, "url", folder.url)
        object.__setattr__(self, "fingerprint", fingerprint)
        self._check_readable()

    def lookup(self, image_id: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Proposals of an image of `size` (height, width), best first; ties keep the file's order.

        Returns boxes (n, 4) float32 xyxy half-open, clipped to the image, and scores (n,) float32, of any sign.
        Raises ImageFailure "not in file" for an image that is absent, and with the likely cause where boxes do not fit
        the image; InputError if a pickle as a whole cannot be read.
        """
        try:
            if self._is_table:
                boxes, scores = find(_table(self.url, self.fingerprint), image_id)
            else:
                boxes, scores = read_mat(find(_index(self.url, self.fingerprint), image_id))
            boxes, rows = fitting(boxes, scores, size)
            return boxes, scores[rows].astype(np.float32)
        except BadProposals as error:
            raise ImageFailure(str(error)) from error

    def missing(self, image_ids: Sequence[str]) -> tuple[list[str], list[str]]:
        """(those of the images that the files lack, how the files call their images: the first few names).

        Raises InputError for an image of which there are two files.
        """
        if self._is_table:
            return missing(_table(self.url, self.fingerprint), image_ids)
        index = _index(self.url, self.fingerprint)
        refuse_unclear(index, image_ids, self.path)
        return missing(index, image_ids)

    def _check_readable(self) -> None:
        """InputError now rather than a failure of every image later."""
        if self._is_file:
            table = _table(self.url, self.fingerprint)
            object.__setattr__(self, "mat_table", bool(table) and not self._is_pickle)
        if self._is_table:
            return
        index = _index(self.url, self.fingerprint)
        if not index:
            raise InputError(
                f"{self.path}: no .mat file in it, no masks (.json) and no pickle (.pkl, .pickle); give the right path"
            )
        first = next(iter(index.values()))
        try:
            read_mat(first)
        except BadProposals as error:
            raise InputError(f"{first}: {error}") from error

    @property
    def _is_table(self) -> bool:
        return self._is_pickle or self.mat_table

    @property
    def _is_file(self) -> bool:
        return self._is_pickle or self.path.lower().endswith(MAT)

    @property
    def _is_pickle(self) -> bool:
        return self.path.lower().endswith(PICKLE_SUFFIXES)


def digest_of_content(file: Folder) -> str:
    digest = hashlib.sha256()
    with file.open() as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def digest_of_listing(sizes: Mapping[str, int]) -> str:
    """SHA-256 over names and sizes of files."""
    listing = "".join(f"{name}\0{size}\n" for name, size in sizes.items())
    return hashlib.sha256(listing.encode()).hexdigest()


def _mat_sizes(folder: Folder) -> dict[str, int]:
    """Bytes of the .mat files below a folder by relative path, sorted."""
    return folder.sizes(MAT, MAT.upper())


@lru_cache(maxsize=4)
def _index(url: str, fingerprint: str) -> ImageTable[str]:
    """Path of every .mat file by its path in the folder without suffix; `fingerprint` tells changed content at the same
    place apart."""
    if url.lower().endswith(MAT):
        return by_image_name({url.replace("\\", "/").rpartition("/")[2][: -len(MAT)]: url})
    folder = Folder(url)
    index: dict[str, str] = {}
    for name in _mat_sizes(folder):
        key, path = name[: -len(MAT)], folder.path(name)
        if key in index:
            raise InputError(f"{path}: the same image as {index[key]}; keep one of them")
        index[key] = path
    return by_image_name(index)


@lru_cache(maxsize=2)
def _table(url: str, fingerprint: str) -> ImageTable[tuple[np.ndarray, np.ndarray]]:
    """(boxes, scores) by image id of a file of a whole data set, {} of one image's; `fingerprint` as above."""
    if url.lower().endswith(MAT):
        return by_image_name(read_mat_table(url) or {})
    with Folder(url).open() as stream:
        return by_image_name(read_pickle(stream, url))


def fitting(boxes: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) float32 of (m, 4) with scores (m,), clipped to the image and free of empty ones, best first, ties in
    the order given; and the row (n,) of each. BadProposals if too many do not fit the image of `size`."""
    if min(size) < 1:
        raise BadProposals("the image's size is unknown: its header cannot be read")
    usable = np.flatnonzero(np.isfinite(boxes).all(1) & (np.abs(scores) <= np.finfo(np.float32).max))
    boxes, scores = boxes[usable], scores[usable]
    if not len(boxes):
        raise BadProposals("no boxes for this image in the file")
    share = _share_outside(boxes, size)
    cause = _explanation(boxes, size) if share > SUSPICIOUS_SHARE else None
    if cause or share > LARGEST_SHARE:
        cause = cause or "wrong row/column order, 1-based coordinates, or boxes of another image or size"
        raise BadProposals(f"{share:.0%} of the boxes lie outside the image or are empty: {cause}")
    boxes = clip(boxes, size)
    order = np.argsort(-scores, kind="stable")
    order = order[area(boxes[order]) > 0]
    return boxes[order].astype(np.float32), usable[order]


def _share_outside(boxes: np.ndarray, size: tuple[int, int]) -> float:
    limit = np.array([size[1], size[0]])
    leaves = (boxes[:, :2] < -OUTSIDE_TOLERANCE) | (boxes[:, 2:] > limit + OUTSIDE_TOLERANCE)
    empty = boxes[:, 2:] <= boxes[:, :2]
    return float((leaves | empty).any(1).mean())


def _explanation(boxes: np.ndarray, size: tuple[int, int]) -> str | None:
    """The reading under which all boxes would fit, in words; None if there is none."""
    readings = {
        "rows and columns are probably in the other order (x, y against y, x)": boxes[:, [1, 0, 3, 2]],
        "they are probably 1-based and inclusive": boxes - np.array([1, 1, 0, 0]),
        "they are probably x, y, width, height instead of two corners": xywh_to_xyxy(boxes),
    }
    return next((cause for cause, reading in readings.items() if _share_outside(reading, size) == 0), None)
