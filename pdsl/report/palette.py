"""Colours that people with colour-blindness can tell apart (Okabe and Ito, 2008; Tol, 2021), by class."""

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
ACCENT = (0, 114, 178)
SECOND = (213, 94, 0)


def class_colour(class_id: int) -> tuple[int, int, int]:
    """RGB of a class; colours repeat after ten classes, labels tell them apart."""
    return CLASS_COLOURS[class_id % len(CLASS_COLOURS)]


def hex_colour(colour: tuple[int, int, int]) -> str:
    """RGB as #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
