"""A page without outside resources: text, tables and pictures put together."""

import base64
import html
import io
from collections.abc import Iterable, Sequence

from PIL import Image

LARGEST = 900
STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --soft: #5b6670; --page: #ffffff; --card: #f4f6f8; --line: #d9dfe4;
  --accent: #0072b2; --bar: #56b4e9; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecef; --soft: #9aa7b2; --page: #14181c; --card: #1d2328;
  --line: #343d45; --accent: #56b4e9; --bar: #0072b2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 2rem 1.5rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.8rem 0 .6rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p { margin: .4rem 0 1rem; max-width: 75ch; }
.soft, figcaption { color: var(--soft); }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.4rem 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .7rem 1.1rem;
  min-width: 8rem; }
.tile b { display: block; font-size: 1.75rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0 1rem; }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; }
tr.best td { font-weight: 700; }
td.bar { position: relative; min-width: 11rem; }
td.bar i { position: absolute; left: .8rem; top: .45rem; bottom: .45rem; background: var(--bar); border-radius: 3px;
  opacity: .75; }
td.bar span { position: relative; }
figure { margin: 0; }
figcaption { font-size: .85rem; margin-top: .3rem; }
.row { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .9rem; margin: 0 0 1.6rem;
  align-items: start; }
.row img { width: 100%; height: auto; display: block; border-radius: 8px; }
@media (max-width: 700px) { .row { grid-template-columns: 1fr; } }
.chart svg { width: 100%; height: auto; }
summary { cursor: pointer; font-weight: 600; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; overflow-x: auto;
  font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
"""


def escape(text: object) -> str:
    """Text for HTML."""
    return html.escape(str(text))


def page(title: str, parts: Iterable[str]) -> str:
    """The whole document."""
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def section(title: str, text: str, *parts: str) -> str:
    """A heading, a sentence that says what is to be seen, and the content; "" if there is no content."""
    content = "\n".join(part for part in parts if part)
    return f"<h2>{escape(title)}</h2>\n<p>{escape(text)}</p>\n{content}" if content else ""


def tiles(figures: Iterable[tuple[str, str]]) -> str:
    """(value, what it is) in large print."""
    cards = "".join(f'<div class="tile"><b>{escape(v)}</b><span>{escape(name)}</span></div>' for v, name in figures)
    return f'<div class="tiles">{cards}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, best: int | None = None) -> str:
    """A table of cells that are HTML already; `best` is the row to stress."""
    lines = [f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>"]
    for number, row in enumerate(rows):
        cells = "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in row)
        lines.append(f'<tr class="{"best" if number == best else ""}">{cells}</tr>')
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def bar_cell(value: float | None, text: str) -> str:
    """A cell with a bar of `value` percent behind its text."""
    share = 0 if value is None else min(max(value, 0), 100)
    return f'<td class="bar"><i style="width:calc({share:.1f}% * .86)"></i><span>{escape(text)}</span></td>'


def picture(image: Image.Image, caption: str) -> str:
    """A figure with the image embedded, at LARGEST pixels of its long side at most."""
    image = image.copy()
    image.thumbnail((LARGEST, LARGEST))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    alt = f'<img alt="{escape(caption)}" src="data:image/jpeg;base64,{data}">'
    return f"<figure>{alt}<figcaption>{escape(caption)}</figcaption></figure>"


def row(*figures: str) -> str:
    """Up to three figures beside each other, all rows with the same columns."""
    return f'<div class="row">{"".join(figures)}</div>'


def details(summary: str, content: str) -> str:
    """Content that opens on a click."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"
