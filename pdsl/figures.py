"""Figures of a model, as they are logged and shown."""

from typing import Any

Figures = dict[str, Any]
"""{"mask": {"AP": …, "AP50": …, …}, "box": {…}, "images": …, "failed": …}, in percent, None where undefined."""


def percent(value: float | None) -> str:
    """One decimal; a dash where a figure is undefined."""
    return "-" if value is None else f"{value:.1f}"
