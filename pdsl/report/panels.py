"""Several pictures in one image file, each with a line of text above it."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

GAP = 16
PAPER = (255, 255, 255)
INK = (28, 33, 38)


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
        pen.text((x, y + font_size // 4), title, fill=INK, font=font)
        sheet.paste(picture, (x, y + head))
    return sheet
