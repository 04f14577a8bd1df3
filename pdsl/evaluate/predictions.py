"""One detected object, and masks put into the image."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pycocotools import mask as rle_tools

from data import rle
from data.boxes import area as box_area
from data.truth import RLE


@dataclass(frozen=True, slots=True)
class Prediction:
    """One detected object.

    image_id: as the data set names it. class_id: 0-based. score: the higher, the surer.
    box: (4,) float64 xyxy, half-open, absolute pixels of the original image. mask: full-image RLE or None.
    bbox: [x, y, width, height] where a file says so: x + width - x is not width, and IoU thresholds are exact.
    """

    image_id: str
    class_id: int
    score: float
    box: np.ndarray
    mask: RLE | None = None
    bbox: tuple[float, float, float, float] | None = None

    def area(self, kind: Literal["box", "mask"]) -> float:
        """Square pixels of the box or of the mask."""
        if kind == "mask" and self.mask is not None:
            return float(rle_tools.area(self.mask))
        return float(box_area(self.box)) if self.bbox is None else self.bbox[2] * self.bbox[3]


def by_image(predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """Predictions of each image, best first."""
    found: dict[str, list[Prediction]] = defaultdict(list)
    for p in predictions:
        found[p.image_id].append(p)
    return defaultdict(list, {image_id: sorted(listed, key=lambda p: -p.score) for image_id, listed in found.items()})


def paste_probability(mask: np.ndarray, box: np.ndarray, size: tuple[int, int], threshold: float) -> RLE:
    """A box-frame probability map as a full-image mask.

    mask: (m, m) float in 0..1 over `box` (4,) xyxy; size: (height, width). A pixel whose centre lies in the box takes
    the probability interpolated linearly between the centres of the map's cells (the border cells extend outward), and
    belongs to the mask from `threshold` on. Pixels outside the box never do.
    """
    height, width = size
    rows, row_weight = _cell_position(box[1], box[3], mask.shape[0], height)
    columns, column_weight = _cell_position(box[0], box[2], mask.shape[1], width)
    inside = np.zeros((len(columns.low), height), bool)  # column by column, as runs go
    if inside.size and len(rows.low):
        tall = mask[rows.low] * (1 - row_weight[:, None]) + mask[rows.high] * row_weight[:, None]
        tall = np.ascontiguousarray(tall.T)
        filled, beside = tall[columns.low], tall[columns.high]
        filled *= 1 - column_weight[:, None]
        beside *= column_weight[:, None]
        filled += beside
        np.greater_equal(filled, threshold, out=inside[:, rows.pixels])
    return rle.encode_columns(inside, columns.pixels.start, size)


def box_mask(box: np.ndarray, size: tuple[int, int]) -> RLE:
    """The pixels whose centre lies in `box` (4,) xyxy as a full-image RLE."""
    return paste_probability(np.ones((1, 1)), box, size, 0.5)


def fill_boxes(predictions: Iterable[Prediction], sizes: Mapping[str, tuple[int, int]]) -> list[Prediction]:
    """The same detections with their whole box as mask: what a mask branch has to beat.

    sizes: (height, width) by image id.
    """
    return [replace(p, mask=box_mask(p.box, sizes[p.image_id])) for p in predictions]


@dataclass(frozen=True, slots=True)
class _Span:
    """Pixels (a slice) along one axis and, for each, the two cells between whose centres it lies."""

    pixels: slice
    low: np.ndarray
    high: np.ndarray


def _cell_position(start: float, stop: float, cells: int, length: int) -> tuple[_Span, np.ndarray]:
    """The pixels 0..length whose centre lies in [start, stop), and the weight of the higher cell for each."""
    first = max(0, math.ceil(start - 0.5))
    last = max(first, min(length, math.ceil(stop - 0.5)))
    centre = np.arange(first, last) + 0.5
    position = np.clip((centre - start) / max(stop - start, 1e-6) * cells - 0.5, 0, cells - 1)
    low = np.floor(position).astype(int)
    return _Span(slice(first, last), low, np.minimum(low + 1, cells - 1)), position - low
