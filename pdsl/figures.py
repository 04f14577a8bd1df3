"""How a figure is written for people."""


def percent(value: float | None) -> str:
    """A figure in percent with one decimal; a dash where it is undefined.

    >>> percent(12.345), percent(None)
    ('12.3', '-')
    """
    return "-" if value is None else f"{value:.1f}"
