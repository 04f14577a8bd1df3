"""Ground truth, for evaluation and pictures only: no stage and no trainer imports this module (a test holds that)."""

from dataclasses import dataclass

import numpy as np

from data.rle import RLE as RLE


@dataclass(frozen=True)
class TruthObject:
    """One annotated object.

    class_id: 0-based index into the class names.
    box: (4,) float64, or float32 where it is that of the mask; xyxy, half-open, absolute pixels.
    mask: full-image RLE, or None where the data set has boxes only.
    difficult: VOC's flag; crowd: COCO's iscrowd. Both are ignored in matching, neither hit nor miss.
    area: square pixels as the data set gives them (COCO: of the polygon), None where it does not.
    has_box: whether the data set has a box of it; False: a mask alone, no object of the boxes' truth.
    bbox: [x, y, width, height] where the file says so: x + width - x is not width, and IoU thresholds are exact.
    """

    class_id: int
    box: np.ndarray
    mask: RLE | None = None
    difficult: bool = False
    crowd: bool = False
    area: float | None = None
    has_box: bool = True
    bbox: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class ImageTruth:
    """All objects of one image; `void` marks pixels without a verdict (VOC's 255), full-image RLE.

    has_masks: whether this image was annotated with instance masks at all.
    """

    id: str
    size: tuple[int, int]
    objects: tuple[TruthObject, ...]
    void: RLE | None = None
    has_masks: bool = False
