"""Detections in images of anybody's: which ids they get, and the files that tell them to other programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from data.catalog import parse_spec
from data.errors import InputError
from data.image_paths import NamedImage
from data.names import file_names
from data.records import ImageList, ImageRecord
from pdsl.classes import map_class_names
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.results import has_numeric_ids, to_coco, write_json
from pdsl.run.names import IMAGES, PREDICTIONS
from pdsl.run.trained import TrainedModel
from store.store import open_store

SAVE_SECONDS, SAVE_RATIO = 60.0, 20
"""How much work a lost machine may take with it, and how many times as long as a save at least."""


class PhotoResults:
    """Writes what was found so far, as often as it is asked to.

    predictions.json: a COCO results file (`to_coco`) whose rows also have `file_name` and `category_name`; images.json:
    the images and categories it speaks of, as COCO's image_info files have them. Classes have the ids of the data set
    the model was trained with, images the ids that data set would give to files of these names.
    """

    def __init__(self, folder: Path, trained: TrainedModel, images: Sequence[NamedImage]) -> None:
        spec, self._categories = data_set_of(trained)
        self._folder, self._class_names = folder, trained.class_names
        ids = image_ids([image.name for image in images], spec)
        self._ids = {image.name: image_id for image, image_id in zip(images, ids, strict=True)}
        self._files = dict(zip(ids, file_names([image.path for image in images]), strict=True))
        given = tuple(ImageRecord(image_id, "", (0, 0), ()) for image_id in ids)
        self._given = ImageList(spec, "", trained.class_names, self._categories, given)
        self._records: list[ImageRecord] = []
        self._found: list[Prediction] = []
        self._last, self._pause = monotonic(), SAVE_SECONDS
        self.saved = 0
        """Images whose detections are on the disk."""

    def record(self, image: NamedImage, size: tuple[int, int]) -> ImageRecord:
        """The record of an image of `size` (height, width)."""
        return ImageRecord(self._ids[image.name], image.path, size, ())

    def add(self, record: ImageRecord, predictions: Sequence[Prediction]) -> None:
        """What was found in an image, perhaps nothing."""
        self._records.append(record)
        self._found += predictions

    @property
    def counts(self) -> tuple[int, int]:
        """(images, detections) so far."""
        return len(self._records), len(self._found)

    def save_when_due(self) -> None:
        """`save` if the last time is long enough ago."""
        if monotonic() - self._last >= self._pause:
            self.save()

    def save(self) -> None:
        """Write both files, each whole or not at all. Raises OSError."""
        begun = monotonic()
        rows = to_coco(self._found, self._given)
        for row, p in zip(rows, self._found, strict=True):
            row |= {"file_name": self._files[p.image_id], "category_name": self._class_names[p.class_id]}
        write_json(self._folder / PREDICTIONS, rows)
        write_json(self._folder / IMAGES, self._image_info())
        self.saved, self._last = len(self._records), monotonic()
        self._pause = max(SAVE_SECONDS, SAVE_RATIO * (self._last - begun))

    def _image_info(self) -> dict[str, Any]:
        numeric = has_numeric_ids(self._given)
        return {
            "images": [
                {
                    "id": int(r.id) if numeric else r.id,
                    "file_name": self._files[r.id],
                    "height": r.size[0],
                    "width": r.size[1],
                }
                for r in self._records
            ],
            "categories": [
                {"id": i, "name": name} for i, name in zip(self._categories, self._class_names, strict=True)
            ],
            "annotations": [],
        }


def image_ids(names: Sequence[str], spec: str) -> list[str]:
    """The ids that a data set of the kind of `spec` would give to images of these names: numbers for COCO's."""
    if spec and parse_spec(spec).scheme == "coco" and all(name.isdecimal() for name in names):
        numbers = [str(int(name)) for name in names]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(names)


def data_set_of(trained: TrainedModel) -> tuple[str, tuple[int, ...]]:
    """(SPEC, id of every class) of the data set a model was trained with; ("", 1 to C) where nobody knows any more."""
    told = trained.data_set or _of_first_store(trained)
    if told is not None:
        names = map_class_names(told["class_names"], trained.config.classes)
        if set(trained.class_names) <= set(names):  # else another data set lies where the store was
            return str(told["spec"]), tuple(told["category_ids"][names.index(name)] for name in trained.class_names)
    return "", tuple(range(1, len(trained.class_names) + 1))


def _of_first_store(trained: TrainedModel) -> Mapping[str, Any] | None:
    """For checkpoints that do not say it."""
    try:
        return open_store(trained.config.data.stores[0]).attributes
    except (InputError, IndexError):
        return None
