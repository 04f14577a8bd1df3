"""Small hand-made data sets for the metrics."""

from collections.abc import Sequence

import numpy as np

from data.records import ImageList, ImageRecord
from data.truth import ImageTruth, TruthObject
from pdsl.evaluate.predictions import Prediction, box_mask
from pdsl.evaluate.protocols import PROTOCOLS
from pdsl.evaluate.targets import ImageTargets

SIZE = (100, 120)
Box = Sequence[float]


def truth_object(
    class_id: int, box: Box, *, mask: bool = True, difficult: bool = False, crowd: bool = False
) -> TruthObject:
    """An object that fills its box."""
    corners = np.array(box, np.float32)
    return TruthObject(class_id, corners, box_mask(corners, SIZE) if mask else None, difficult, crowd)


def image_truth(
    image_id: str, *objects: TruthObject, has_masks: bool = True, void: Box | None = None, protocol: str = "strict"
) -> ImageTargets:
    """An image's truth as the figures take it."""
    blank = None if void is None else box_mask(np.array(void), SIZE)
    return ImageTargets(ImageTruth(image_id, SIZE, objects, blank, has_masks), PROTOCOLS[protocol])


def detection(image_id: str, class_id: int, score: float, box: Box, *, mask: bool = True) -> Prediction:
    """A detection whose mask fills its box."""
    corners = np.array(box, np.float64)
    return Prediction(image_id, class_id, score, corners, box_mask(corners, SIZE) if mask else None)


def image_list(
    ids: Sequence[str], names: Sequence[str] = ("cat", "dog"), categories: Sequence[int] = (3, 17)
) -> ImageList:
    records = tuple(ImageRecord(image_id, f"{image_id}.jpg", SIZE, (0,)) for image_id in ids)
    return ImageList("coco:here", "val", tuple(names), tuple(categories), records)
