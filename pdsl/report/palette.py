"""Colours that people with colour-blindness can tell apart (Okabe and Ito, 2008; Tol, 2021), by class."""

from collections.abc import Iterable

CLASS_COLOURS = (
    (0, 158, 115),  # bluish green
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (204, 121, 167),  # reddish purple
    (213, 94, 0),  # vermilion
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (136, 204, 238),  # cyan
    (170, 68, 153),  # purple
    (153, 153, 51),  # olive
)
CURVE_COLOURS = ((0, 130, 190), (213, 94, 0), (0, 158, 115), (204, 121, 167), (200, 140, 0))
"""Lines that are to be seen on white as on black paper."""
ACCENT = (0, 114, 178)
SECOND = (213, 94, 0)
RIGHT, MISSED, WRONG, IGNORED = (86, 180, 233), (240, 228, 66), (213, 94, 0), (170, 170, 170)
"""What became of a detection or an object; their brightness differs as their hue does."""


def class_colour(class_id: int) -> tuple[int, int, int]:
    """RGB of a class; colours repeat after ten classes."""
    return CLASS_COLOURS[class_id % len(CLASS_COLOURS)]


def class_colours(class_ids: Iterable[int]) -> dict[int, tuple[int, int, int]]:
    """A colour for each class of one picture: its own, or the next that no other class of the picture has."""
    chosen: dict[int, tuple[int, int, int]] = {}
    for class_id in sorted(set(class_ids)):
        ring = [class_colour(class_id + step) for step in range(len(CLASS_COLOURS))]
        chosen[class_id] = next((colour for colour in ring if colour not in chosen.values()), ring[0])
    return chosen


def hex_colour(colour: tuple[int, int, int]) -> str:
    """RGB as #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
