"""Method `masks` of stage `proposals`: masks that any segmenter made, in the layout of Segment Anything's generator.

Per image a list of `{"segmentation": RLE, "bbox": [x, y, width, height], "predicted_iou": …, "stability_score": …}`. A
folder holds one `.json` an image, named like the image; it may wrap the list as `{"image": …, "annotations": […]}`. One
file holds a whole data set: `{image id: list}`, or one list of masks that each name their `image_id`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as rle_tools

from data import rle
from data.boxes import xywh_to_xyxy
from data.errors import InputError
from data.files import Folder
from data.json_file import read_json
from data.masks import MASK_SIDE, pack, to_box_frame
from data.numbers import bbox, identifier, number
from data.rle import RLE
from pipeline.spec import ImageFailure
from stages.proposals.files import digest_of_content, digest_of_listing, fitting
from stages.proposals.formats import BadProposals
from stages.proposals.image_names import ImageTable, by_image_name, find, missing

JSON = ".json"
CURE = "give a folder of JSON files of masks, one an image, or one such file (docs/proposals.md)"
SCORES = ("predicted_iou", "score", "stability_score")
"""Fields that rank the masks, the best known first; without any the order is the ranking."""
CONTRADICTION = 2.0
"""Pixels by which a mask may leave its own `bbox`: rounding. Beyond that one of them belongs to something else."""


class MaskProposals(NamedTuple):
    """Proposals of an image, best first. box: (n, 4) float32 xyxy half-open; score: (n,) float32; mask: (n, 56, 7)
    uint8 in the boxes' frames."""

    box: np.ndarray
    score: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class MaskFiles:
    """Masks at `path`: a folder of JSON files or one JSON file; local or an fsspec URL.

    fingerprint: identity of what is read, SHA-256 over a file's content, or over names and sizes of a folder's files.
    Raises InputError at once if there is nothing usable at `path`.
    """

    path: str
    url: str = field(init=False)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        folder = Folder.at(self.path)
        if not folder.has():
            raise InputError(f"{self.path}: no such folder or file; {CURE}")
        object.__setattr__(self, "url", folder.url)
        is_file = self.path.lower().endswith(JSON)
        fingerprint = digest_of_content(folder) if is_file else digest_of_listing(folder.sizes(JSON))
        object.__setattr__(self, "fingerprint", fingerprint)
        index = _index(self.url, fingerprint)
        if not index:
            raise InputError(f"{self.path}: no masks in it; {CURE}")
        _entries(next(iter(index.values())))

    @staticmethod
    def at(path: str) -> bool:
        """Whether masks lie there: a JSON file, or a folder with some and without .mat files."""
        if path.lower().endswith(JSON):
            return True
        names = Folder.at(path).files()
        return any(n.endswith(JSON) for n in names) and not any(n.endswith(".mat") for n in names)

    def lookup(self, image_id: str, size: tuple[int, int]) -> MaskProposals:
        """Proposals of an image of `size` (height, width).

        Raises ImageFailure for an image that is absent, and with the mask and field where its masks are wrong.
        """
        place = find(_index(self.url, self.fingerprint), image_id)
        try:
            return read_masks(_entries(place), size)
        except (BadProposals, InputError) as error:
            raise ImageFailure(str(error)) from error

    def missing(self, image_ids: Sequence[str]) -> tuple[list[str], list[str]]:
        """(those of the images that the files lack, how the files call their images: the first few names)."""
        return missing(_index(self.url, self.fingerprint), image_ids)


def read_masks(entries: Sequence[Any], size: tuple[int, int]) -> MaskProposals:
    """Proposals from the masks of one image of `size` (height, width).

    A `bbox` whose right and lower edge are those of the mask's last pixels, as Segment Anything writes it, is taken to
    include them; without a `bbox` the mask's own box counts. Masks without a pixel are left out. Raises BadProposals.
    """
    masks, boxes, scores = [], [], []
    for place, entry in enumerate(entries):
        try:
            mask = _mask(entry, size)
            if mask is not None:
                masks.append(mask)
                boxes.append(_box(entry, mask))
                scores.append(_score(entry, place, len(entries)))
        except ValueError as error:
            raise BadProposals(f"mask {place} (the first is 0): {error}") from error
    if not masks:
        raise BadProposals("no masks for this image in the file")
    box, rows = fitting(np.array(boxes), np.array(scores), size)
    packed = np.zeros((len(box), MASK_SIDE, MASK_SIDE // 8), np.uint8)
    for place, row in enumerate(rows):
        packed[place] = pack(to_box_frame(rle.decode(masks[row]), box[place]))
    return MaskProposals(box, np.array(scores)[rows].astype(np.float32), packed)


def _mask(entry: Any, size: tuple[int, int]) -> RLE | None:
    """The entry's mask, None if it has no pixel. Raises ValueError."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"has to be a mapping, not {entry!r:.60}")
    mask = rle.from_coco(entry.get("segmentation"), size)
    if mask is None:
        raise ValueError("segmentation: is missing; write masks as COCO RLE (the generator's --convert-to-rle)")
    return mask if rle_tools.area(mask) else None


def _box(entry: Mapping[str, Any], mask: RLE) -> np.ndarray:
    own = xywh_to_xyxy(np.array(rle.box(mask)))
    if entry.get("bbox") in (None, []):
        return own
    box = xywh_to_xyxy(np.array(bbox(entry["bbox"])))
    if np.array_equal(box + np.array([0, 0, 1, 1]), own):
        return own
    if (own[:2] < box[:2] - CONTRADICTION).any() or (own[2:] > box[2:] + CONTRADICTION).any():
        stated = entry["bbox"]
        raise ValueError(f"bbox: {stated} does not hold its own mask, which spans {own.tolist()} (x0, y0, x1, y1)")
    return box


def _score(entry: Mapping[str, Any], place: int, count: int) -> float:
    """The entry's score; the `place` among `count` ranks those that have none."""
    name = next((name for name in SCORES if entry.get(name) is not None), None)
    return 1 - place / count if name is None else number(entry[name], name)


class _Place(NamedTuple):
    """Where the masks of an image are: a JSON file of their own, or `key` of the one for all."""

    url: str
    fingerprint: str
    key: str | None = None


@lru_cache(maxsize=4)
def _index(url: str, fingerprint: str) -> ImageTable[_Place]:
    """Place of every image's masks by its name; `fingerprint` tells changed content at the same place apart."""
    if url.lower().endswith(JSON):
        return by_image_name({key: _Place(url, fingerprint, key) for key in _table(url, fingerprint)})
    folder = Folder(url)
    return by_image_name({name[: -len(JSON)]: _Place(folder.path(name), fingerprint) for name in folder.sizes(JSON)})


@lru_cache(maxsize=2)
def _table(url: str, fingerprint: str) -> dict[str, list[Any]]:
    """The masks of a file, by the names of their images. A file of one image's masks has the image's name."""
    content = read_json(url, CURE)
    if isinstance(content, Mapping) and not isinstance(content.get("annotations"), list):
        if all(isinstance(masks, list) for masks in content.values()):
            return {str(key): masks for key, masks in content.items()}
        raise InputError(f"{url}: a mapping of image ids to lists of masks is needed; {CURE}")
    masks = _listed(content, url)
    if not masks:
        return {}
    if not any(isinstance(mask, Mapping) and "image_id" in mask for mask in masks):
        return {url.replace("\\", "/").rpartition("/")[2][: -len(JSON)]: masks}
    try:
        return _by_image(masks, _file_names(content))
    except ValueError as error:
        raise InputError(f"{url}: {error}; {CURE}") from error


def _by_image(masks: Sequence[Any], names: Mapping[str, str]) -> dict[str, list[Any]]:
    """Masks by the names of their images; ValueError for one that names none."""
    table: dict[str, list[Any]] = defaultdict(list)
    for place, mask in enumerate(masks):
        if not isinstance(mask, Mapping) or "image_id" not in mask:
            raise ValueError(f"mask {place} (the first is 0) names no image_id, while others do")
        image_id = identifier(mask["image_id"], f"mask {place} (the first is 0): image_id")
        table[names.get(image_id, image_id)].append(mask)
    return dict(table)


def _entries(place: _Place) -> list[Any]:
    """The masks of one image. Raises InputError for a file of its own that is no list of masks."""
    if place.key is not None:
        return _table(place.url, place.fingerprint)[place.key]
    return _listed(read_json(place.url, CURE), place.url)


def _listed(content: Any, where: str) -> list[Any]:
    """The list of masks in a file's content: the list itself, or `annotations` of a mapping."""
    masks = content.get("annotations") if isinstance(content, Mapping) else content
    if not isinstance(masks, list):
        raise InputError(f"{where}: holds no list of masks; {CURE}")
    return masks


def _file_names(content: Any) -> dict[str, str]:
    """Names by id of a mapping's list `images`, where it has one: a generator may number the images as it likes."""
    images = content.get("images") if isinstance(content, Mapping) else None
    rows = images if isinstance(images, list) else []
    return {
        identifier(row["id"], "images: id"): str(row["file_name"])
        for row in rows
        if isinstance(row, Mapping) and {"id", "file_name"} <= set(row)
    }
