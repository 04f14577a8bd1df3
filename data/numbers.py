"""Ids and sizes as files of annotations hold them, checked before anything computes with them."""

from typing import Any

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
