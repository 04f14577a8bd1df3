"""Masks in the frame of a box: MASK_SIDE x MASK_SIDE cells that divide the box evenly, stored as packed bits.

A box moves, scales and is cropped without any change of its mask.
"""

import numpy as np

MASK_SIDE = 56
"""Cells along each side of a stored box-frame mask."""


def pack(mask: np.ndarray) -> np.ndarray:
    """Bits to bytes: (…, 56, 56) bool -> (…, 56, 7) uint8, the most significant bit is the leftmost cell."""
    return np.packbits(np.asarray(mask, bool), axis=-1)


def unpack(packed: np.ndarray) -> np.ndarray:
    """Bytes to bits: (…, 56, 7) uint8 -> (…, 56, 56) bool."""
    return np.unpackbits(packed, axis=-1).astype(bool)


def paste(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A box-frame mask put into an image: each pixel takes the cell in which its centre lies.

    mask: (R, R) bool (or any dtype, kept); box: (4,) xyxy half-open, may leave the image; size: (height, width).
    Returns (height, width), zero outside the box.
    """
    cells = mask.shape[-1]
    x0, y0, x1, y1 = (float(v) for v in box)
    rows, cell_rows = _cells_of_pixels(y0, y1, cells, size[0])
    columns, cell_columns = _cells_of_pixels(x0, x1, cells, size[1])
    full = np.zeros(size, mask.dtype)
    full[rows, columns] = mask[np.ix_(cell_rows, cell_columns)]
    return full


def to_box_frame(full: np.ndarray, box: np.ndarray, side: int = MASK_SIDE) -> np.ndarray:
    """A full-image mask in the frame of `box`: each cell takes the pixel in which its centre lies.

    full: (height, width) bool; box: (4,) xyxy half-open; cells whose centre is outside the image are False.
    Returns (side, side) bool.
    """
    x0, y0, x1, y1 = (float(v) for v in box)
    centre = (np.arange(side) + 0.5) / side
    rows = np.floor(y0 + centre * (y1 - y0)).astype(int)
    columns = np.floor(x0 + centre * (x1 - x0)).astype(int)
    inside_rows = (rows >= 0) & (rows < full.shape[0])
    inside_columns = (columns >= 0) & (columns < full.shape[1])
    mask = np.zeros((side, side), bool)
    mask[np.ix_(inside_rows, inside_columns)] = full[np.ix_(rows[inside_rows], columns[inside_columns])]
    return mask


def tight_box(full: np.ndarray) -> np.ndarray:
    """Smallest box around the true pixels of a (height, width) mask: (4,) float32 xyxy half-open; zeros if none."""
    rows, columns = np.flatnonzero(full.any(1)), np.flatnonzero(full.any(0))
    if not len(rows):
        return np.zeros(4, np.float32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def _cells_of_pixels(low: float, high: float, cells: int, length: int) -> tuple[slice, np.ndarray]:
    """The pixels 0..length whose centre lies in [low, high), and the cell of each."""
    index = np.floor((np.arange(length) + 0.5 - low) / max(high - low, 1e-6) * cells).astype(int)
    inside = np.flatnonzero((index >= 0) & (index < cells))
    if not len(inside):
        return slice(0, 0), index[:0]
    span = slice(int(inside[0]), int(inside[-1]) + 1)
    return span, index[span]
