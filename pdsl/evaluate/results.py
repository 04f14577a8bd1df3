"""Results files: detections as the world exchanges them, COCO's JSON here, VOC's text in `voc_results`."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from data import rle
from data.boxes import xywh_to_xyxy, xyxy_to_xywh
from data.errors import InputError
from data.json_file import read_json
from data.numbers import bbox, identifier, number, whole
from data.records import ImageList
from data.truth import RLE
from data.whole_file import write_whole
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.voc_results import read_voc_results

T = TypeVar("T")


def to_coco(predictions: Iterable[Prediction], images: ImageList) -> list[dict[str, Any]]:
    """Rows of a COCO results file: the data set's own image and category ids, bbox xywh, segmentation as text RLE.

    Image ids that are whole numbers throughout (COCO) are written as numbers, others (VOC) as text.
    """
    numeric = has_numeric_ids(images)
    rows = []
    for p in predictions:
        row: dict[str, Any] = {
            "image_id": int(p.image_id) if numeric else p.image_id,
            "category_id": images.category_ids[p.class_id],
            "bbox": [round(float(v), 3) for v in xyxy_to_xywh(p.box)],
            "score": float(p.score),
        }
        if p.mask is not None:
            row["segmentation"] = {"size": list(p.mask["size"]), "counts": p.mask["counts"].decode("ascii")}
        rows.append(row)
    return rows


IDS_OF_A_RUN = "`eval --run` and `predict --split` give a run's detections in the ids of a data set"
"""How to get others than `predict` gives to photographs."""


def has_numeric_ids(images: ImageList) -> bool:
    """Whether all image ids are whole numbers without leading zeros."""
    return all(record.id.isdecimal() and str(int(record.id)) == record.id for record in images.records)


def read_results(path: str | Path, images: ImageList) -> list[Prediction]:
    """Predictions from anyone's results: a COCO results file, or VOC's text files (one, or a folder of them).

    Rows of COCO's need image_id, category_id, score and bbox or segmentation (RLE as text or numbers, or polygons). A
    missing or empty bbox is taken from the mask. Raises InputError that names the row and the field.
    """
    if Path(path).is_dir() or Path(path).suffix == ".txt":
        return read_voc_results(Path(path), images)
    rows = read_json(path, "--results takes a COCO results file, or VOC's comp4_det_….txt")
    if not isinstance(rows, list):
        hint = "; give its list 'annotations' alone" if isinstance(rows, dict) and "annotations" in rows else ""
        raise InputError(f"{path}: has to be a list of detections, not {type(rows).__name__}{hint}")
    return from_coco(rows, images, str(path))


def from_coco(rows: Sequence[Any], images: ImageList, where: str) -> list[Prediction]:
    """Predictions from the rows of a COCO results file; `where` begins the messages of InputError."""
    reader = _RowReader(images)
    predictions: list[Prediction] = []
    for place, row in enumerate(rows):
        try:
            predictions.append(reader.read(row))
        except ValueError as error:
            raise InputError(f"{where}: row {place} (the first is 0): {error}") from error
    without = [place for place, p in enumerate(predictions) if p.mask is None]
    if 0 < len(without) < len(predictions):
        raise InputError(f"{where}: row {without[0]}: no segmentation, while other rows have one; give all or none")
    return predictions


class _RowReader:
    """Checks and converts one row at a time; a ValueError says what is wrong with it."""

    def __init__(self, images: ImageList) -> None:
        self.split = f"{images.spec} {images.split}"
        self.sizes = {record.id: record.size for record in images.records}
        self.classes = {category: index for index, category in enumerate(images.category_ids)}
        self.names = images.class_names

    def read(self, row: Any) -> Prediction:
        if not isinstance(row, Mapping):
            raise ValueError(f"has to be a mapping, not {row!r:.60}")
        for name in ("image_id", "category_id", "score"):
            if name not in row:
                raise ValueError(f"{name}: is missing")
        image_id = self._image_id(row["image_id"])
        class_id = self._class_id(row["category_id"], row.get("category_name"))
        score = number(row["score"], "score")
        mask = _mask(row["segmentation"], self.sizes[image_id]) if row.get("segmentation") else None
        if row.get("bbox") in (None, []) and mask is not None:
            return Prediction(image_id, class_id, score, xywh_to_xyxy(np.array(rle.box(mask))), mask)
        if row.get("bbox") is None:
            raise ValueError("bbox and segmentation: both are missing; one of them is needed")
        box = bbox(row["bbox"])
        return Prediction(image_id, class_id, score, xywh_to_xyxy(np.array(box)), mask, box)

    def _image_id(self, value: Any) -> str:
        name = _parsed(identifier, value)
        if name not in self.sizes:
            example = next(iter(self.sizes), "none")
            raise ValueError(
                f"image_id: {value!r:.60} is not an image of {self.split}, whose ids look like '{example}'; "
                f"{IDS_OF_A_RUN}"
            )
        return name

    def _class_id(self, value: Any, name: Any) -> int:
        """name: what the row calls the class, if it does: in another data set the same number is another class."""
        category = _parsed(whole, value)
        if category not in self.classes:
            known = sorted(self.classes)
            raise ValueError(f"category_id: {value!r:.60} is not a class of {self.split} ({known[0]} to {known[-1]})")
        own = self.names[self.classes[category]]
        if name is not None and _letters(name) != _letters(own):
            raise ValueError(
                f"category_id: {value!r:.60} is '{own}' in {self.split} and {name!r:.60} in this row: ids of another "
                f"data set; {IDS_OF_A_RUN}"
            )
        return self.classes[category]


def _letters(name: Any) -> str:
    """A class name without what is spelled differently: case, blanks, signs."""
    return "".join(letter for letter in str(name).casefold() if letter.isalnum())


def _parsed(parse: Callable[[Any, str], T], value: Any) -> T | None:
    """An id as files of annotations are read; None for what is none."""
    try:
        return parse(value, "")
    except ValueError:
        return None


def _mask(segmentation: Any, size: tuple[int, int]) -> RLE:
    mask = rle.from_coco(segmentation, size)
    if mask is None:
        raise ValueError("segmentation: a polygon is a list [x, y, x, y, …] of at least three points")
    return mask


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, whole or not at all (`data.whole_file`)."""
    write_whole(path, json.dumps(value, allow_nan=False) + "\n")
