"""Figures of a model, as they are logged and shown."""

from typing import Any

Figures = dict[str, Any]
"""{"mask": {"AP": …, "AP50": …, …}, "box": {…}, "image": {"mAP": …}, "images": …, "failed": …}, in percent, None where
undefined."""


def percent(value: float | None) -> str:
    """A figure with one decimal; a dash where it is undefined.

    >>> percent(12.345), percent(None)
    ('12.3', '-')
    """
    return "-" if value is None else f"{value:.1f}"


def figures_due(done: int, steps: int, every: int) -> bool:
    """Whether the model is evaluated after `done` of `steps` updates; every: `validation.every`."""
    return every > 0 and (done == steps or done % every == 0)
