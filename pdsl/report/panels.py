"""Several pictures in one image file, each with a line of text above it."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.ImageFont import FreeTypeFont
from PIL.PngImagePlugin import PngInfo

from data.whole_file import whole_file

GAP = 16
PAPER = (255, 255, 255)
INK = (28, 33, 38)
OWN = "pdsl"
"""Mark of our pictures, which may be written anew."""


def side_by_side(panels: Sequence[tuple[str, Image.Image]], columns: int) -> Image.Image:
    """(title, picture) of equal size in rows of `columns`."""
    width, height = panels[0][1].size
    font_size = max(14, width // 36)
    font = ImageFont.load_default(font_size)
    head = font_size * 2
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + head + GAP) + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, (title, picture) in enumerate(panels):
        x = GAP + place % columns * (width + GAP)
        y = GAP + place // columns * (height + head + GAP)
        pen.text((x, y + font_size // 4), _fitting(title, width, pen, font), fill=INK, font=font)
        sheet.paste(picture, (x, y + head))
    return sheet


def _fitting(text: str, width: int, pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont | FreeTypeFont) -> str:
    """`text`, cut with an ellipsis where it is wider than `width` pixels."""
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(f"{text}…", font=font) > width:
        text = text[:-1]
    return f"{text}…"


def contact_sheet(tiles: Sequence[tuple[str, Image.Image]], columns: int, side: int = 360) -> Image.Image:
    """(title, picture) of any sizes as small pictures in rows of `columns`, each within a square of `side` pixels."""
    small = []
    for title, picture in tiles:
        square = Image.new("RGB", (side, side), PAPER)
        fitted = ImageOps.contain(picture, (side, side), Image.Resampling.LANCZOS)
        square.paste(fitted, ((side - fitted.width) // 2, (side - fitted.height) // 2))
        small.append((title, square))
    return side_by_side(small, columns)


def save_picture(image: Image.Image, path: Path) -> None:
    """Write a picture whole or not at all, marked as ours, in the format of its suffix (.png or .jpg)."""
    with whole_file(path) as file:
        if path.suffix.lower() == ".png":
            info = PngInfo()
            info.add_text("Software", OWN)
            image.save(file, "PNG", pnginfo=info)
        else:
            image.save(file, "JPEG", comment=OWN)


def is_own_picture(path: Path) -> bool:
    """Whether `save_picture` wrote this file."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            return OWN in (image.info.get("Software"), image.info.get("comment", b"").decode(errors="replace"))
    except (OSError, ValueError, SyntaxError):
        return False
