"""A page without outside resources: templates filled in. What comes from data is escaped, as Jinja does by itself."""

import base64
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

LARGEST = 900
QUALITY = 82
_TEMPLATES = Environment(
    loader=PackageLoader("pdsl.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Picture:
    """An image within the page. source: data URI; width, height: its pixels."""

    source: str
    caption: str
    width: int
    height: int


@dataclass(frozen=True)
class Row:
    """Pictures beside each other. classes: ids of those that are to be seen."""

    pictures: Sequence[Picture]
    classes: Collection[int] = ()


@dataclass(frozen=True)
class BarRow:
    """A line of a table with bars. cells: a text, or (text, length of its bar in percent). best: to be stressed."""

    name: str
    cells: Sequence[str | tuple[str, float]]
    best: bool = False


def render(**content: Any) -> str:
    """The whole document; `content` is what templates/report.html asks for."""
    return _TEMPLATES.get_template("report.html").render(**content)


def picture(image: Image.Image, caption: str) -> Picture:
    """The image embedded, at LARGEST pixels of its long side at most."""
    image = image.copy()
    image.thumbnail((LARGEST, LARGEST))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/jpeg;base64,{data}", caption, image.width, image.height)


def bar(value: float | None, text: str) -> tuple[str, float]:
    """A cell with a bar of `value` percent behind its text."""
    return text, 0.0 if value is None else min(max(value, 0.0), 100.0)
