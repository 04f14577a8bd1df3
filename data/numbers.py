"""Ids, sizes and boxes as files of annotations hold them, checked before anything computes with them."""

import sys
from typing import Any

Bbox = tuple[float, float, float, float]
"""x, y, width, height."""

LARGEST_AREA = 1 << 30
"""Pixels (height x width) that no image has: a larger one is a mistake in a file of annotations."""


def identifier(value: Any, field: str) -> str:
    """The text of an id: 7, 7.0 and "7" are the same one. ValueError, beginning with the field, for what is no id."""
    if type(value) is int:  # nearly all are
        return str(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or not (text := str(value).strip()):
        raise ValueError(f"{field}: {value!r:.60} is neither text nor a whole number")
    if not text.isascii() and text.encode(errors="ignore").decode() != text:
        raise ValueError(f"{field}: {value!r:.60} holds half a character")
    return text


def whole(value: Any, field: str) -> int:
    """A whole number, written as 7, 7.0 or "7". ValueError, beginning with the field, for anything else."""
    if type(value) is int:
        return value
    try:
        return int(identifier(value, field))
    except ValueError:
        raise ValueError(f"{field}: {value!r:.60} is not a whole number") from None


def image_size(height: Any, width: Any) -> tuple[int, int] | None:
    """(height, width) as annotated; None where nothing is: absent or 0, as tools write it that do not open the image.

    ValueError, beginning with the field, for what can not be the size of an image.
    """
    size = [0 if value is None else whole(value, field) for value, field in ((height, "height"), (width, "width"))]
    if min(size) < 0 or max(size) > LARGEST_AREA or size[0] * size[1] > LARGEST_AREA:
        raise ValueError(f"height, width: {height!r:.30} and {width!r:.30} are not the size of an image")
    return (size[0], size[1]) if all(size) else None


def is_finite_number(value: Any) -> bool:
    """Whether a JSON value is a number that a float can hold: neither true, NaN, Infinity nor 400 digits."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max


def number(value: Any, field: str) -> float:
    """A finite number. ValueError, beginning with the field, for anything else."""
    if not is_finite_number(value):
        raise ValueError(f"{field}: {value!r:.60} is not a finite number")
    return float(value)


def bbox(value: Any) -> Bbox:
    """A box as COCO's files hold it, [x, y, width, height]; it may be empty.

    ValueError, beginning with the field, for anything else, and where its edges or its area are no finite numbers.
    """
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError(f"bbox: {value!r:.60} is not [x, y, width, height]")
    x, y, width, height = (number(part, "bbox") for part in value)
    if width < 0 or height < 0:
        raise ValueError(f"bbox: {value} has a negative width or height; COCO's order is [x, y, width, height]")
    if not all(map(is_finite_number, (x + width, y + height, width * height))):
        raise ValueError(f"bbox: {value} is too large")
    return x, y, width, height
