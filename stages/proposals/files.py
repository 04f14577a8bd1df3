"""Method `files` of stage `proposals`: proposals that others published, looked up by image id.

A folder of MCG `.mat` files, one an image, flat or in sub-folders, or one detectron2 proposal pickle. A pickle is read
whole, once per process; for large sets on many workers `.mat` files need less memory.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from data.boxes import area, clip, xywh_to_xyxy
from data.errors import InputError
from data.files import Folder
from pipeline.spec import ImageFailure
from stages.proposals.formats import PICKLE_SUFFIXES, BadProposals, read_mat, read_pickle

MAT = ".mat"
NOT_IN_FILE = "not in file"
OUTSIDE_TOLERANCE = 2.0
"""Pixels by which a box may leave its image before it counts as outside: rounding of other tools."""
LARGEST_SHARE, SUSPICIOUS_SHARE = 0.25, 0.05
"""Shares of boxes that do not fit: more than the first is refused, more than the second if another reading fits all."""
COCO_STEM = re.compile(r"(?:COCO_\w+_)?(\d{12})")


@dataclass(frozen=True)
class ProposalFiles:
    """Published proposals at `path`: a folder of .mat files, a .mat file or a pickle; local or an fsspec URL.

    fingerprint: identity of what is read, SHA-256 over a file's content, or over names and sizes of the .mat files.
    Travels to workers as absolute path and fingerprint; they read when needed and keep the content per process.
    Raises InputError at once if there is nothing usable at `path`.
    """

    path: str
    url: str = field(init=False)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        folder = Folder.at(self.path)
        if not folder.has():
            raise InputError(f"{self.path}: no such folder or file; give the proposals' folder or pickle")
        is_file = self._is_pickle or self.path.endswith(MAT)
        fingerprint = _digest_of_content(folder) if is_file else _digest_of_listing(folder)
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
            if self._is_pickle:
                table = _pickle_table(self.url, self.fingerprint)
                boxes, scores = table[_find(table, image_id)]
            else:
                index = _index(self.url, self.fingerprint)
                boxes, scores = read_mat(index[_find(index, image_id)])
            return _checked(boxes, scores, size)
        except BadProposals as error:
            raise ImageFailure(str(error)) from error

    def _check_readable(self) -> None:
        """InputError now rather than a failure of every image later."""
        if self._is_pickle:
            _pickle_table(self.url, self.fingerprint)
            return
        index = _index(self.url, self.fingerprint)
        if not index:
            raise InputError(f"{self.path}: no .mat file in it and no pickle (.pkl, .pickle); give the right path")
        first = next(iter(index.values()))
        try:
            read_mat(first)
        except BadProposals as error:
            raise InputError(f"{first}: {error}") from error

    @property
    def _is_pickle(self) -> bool:
        return self.path.lower().endswith(PICKLE_SUFFIXES)


def _digest_of_content(file: Folder) -> str:
    digest = hashlib.sha256()
    with file.open() as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _digest_of_listing(folder: Folder) -> str:
    listing = "".join(f"{name}\0{size}\n" for name, size in folder.sizes(MAT).items())
    return hashlib.sha256(listing.encode()).hexdigest()


@lru_cache(maxsize=4)
def _index(url: str, fingerprint: str) -> dict[str, str]:
    """Path of every .mat file by its stem; `fingerprint` tells changed content at the same place apart."""
    folder = Folder(url)
    paths = [url] if url.endswith(MAT) else [folder.path(name) for name in folder.sizes(MAT)]
    index: dict[str, str] = {}
    for path in paths:
        stem = path.replace("\\", "/").rpartition("/")[2].removesuffix(MAT)
        if stem in index:
            raise InputError(f"{path}: the same image as {index[stem]}; keep one of them")
        index[stem] = path
    for stem in list(index):  # COCO: files are named by the padded id, images by the integer
        if match := COCO_STEM.fullmatch(stem):
            index.setdefault(str(int(match.group(1))), index[stem])
    return index


@lru_cache(maxsize=2)
def _pickle_table(url: str, fingerprint: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(boxes, scores) by image id; `fingerprint` as above."""
    with Folder(url).open() as stream:
        return read_pickle(stream, url)


def _find(table: Mapping[str, object], image_id: str) -> str:
    """The key of an image: its id, or for ids that others turned into integers ("2007_000032", "000005") the number."""
    if image_id in table:
        return image_id
    digits = image_id.replace("_", "")
    if digits.isdecimal() and (key := str(int(digits))) in table:
        return key
    raise ImageFailure(NOT_IN_FILE)


def _checked(boxes: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Sorted, clipped and free of empty boxes; BadProposals if too many do not fit the image."""
    if min(size) < 1:
        raise BadProposals("the image's size is unknown: its header cannot be read")
    usable = np.isfinite(boxes).all(1) & np.isfinite(scores)
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
    return boxes[order].astype(np.float32), scores[order].astype(np.float32)


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
