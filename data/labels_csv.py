"""`labels.csv` of a plain folder: its rows and the class names in them, as spreadsheets and scripts write such files.

Columns are separated by the comma, semicolon, tab or bar that makes its header readable. Labels are separated by the
first of `;`, `|`, `,` and tab that occurs in their column, or by blanks if none does; a cell may also be a list, as
JSON and Python write it (`["dog", "red cat"]`). Names are taken in composed characters and with single blanks.

What is more likely a mistake than a class is refused, unless classes.txt names it: names that differ in case, blanks or
hyphens only, several known names joined by any other sign, `nan`, signs alone.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from data.errors import InputError, nearest
from data.files import Folder
from data.names import class_name, is_image

LABELS, CLASSES, IMAGES = "labels.csv", "classes.txt", "images"
COLUMNS = ("image", "labels", "split")
ALL = "all"
DELIMITERS = (",", ";", "\t", "|")
SEPARATORS = (";", "|", ",", "\t")
MISSING = frozenset(("nan", "null", "none", "n/a", "na", "<na>", "nil"))
"""What programs write for "no value"."""
BRACKETS = {"[": "]", "(": ")", "{": "}"}
EMPTY_SET = "set()"
"""Python's set without labels."""
JOINTS = re.compile(r"(?:[^\w\s']|_)+")
"""Signs that may stand between labels, although nobody announced them: / + & - …"""
QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
WHOLE_FLOAT = re.compile(r"^(\d+)\.0+$")
SEPARATOR_LINE = re.compile(r"sep=(.)\s*")
"""First line by which spreadsheets tell each other the delimiter."""


@dataclass(frozen=True)
class Row:
    """A line of the file: its number, the image as written, the cell of labels, the split."""

    line: int
    image: str
    labels: str
    split: str


def _example_row(folder: Folder) -> str:
    """What a line of labels.csv may look like; where there are folders of images, they may be the classes."""
    place = folder.below(IMAGES) if folder.has(IMAGES) else folder
    for name in place.names():
        if image := next((file for file in place.names(name) if is_image(file)), None):
            return f"a line for each image, like {name}/{image},{name}"
    return "a line for each image, like 0001.jpg,dog;person"


def read_rows(folder: Folder) -> list[Row]:
    """The rows of labels.csv in `folder`. InputError, naming file and line, for anything that is no such table."""
    path = folder.path(LABELS)
    if not folder.has(LABELS):
        raise InputError(f"{path}: no such file; write one with the header image,labels and {_example_row(folder)}")
    lines = _lines(_text(folder), path)
    header = _without_empty_end([name.lower() for name in lines[0][1]], 0) if lines else []
    if not _is_header(header) or not set(header) <= set(COLUMNS) or len(set(header)) != len(header):
        found = ",".join(header) or "nothing"
        raise InputError(f"{path}: the first line is '{found}'; it must be image,labels or image,labels,split")
    rows = []
    for line, cells in lines[1:]:
        fields = _without_empty_end(cells, len(header))
        if len(fields) != len(header):
            hint = "separate labels with ';', or quote the cell" if len(fields) > len(header) else "write every column"
            raise InputError(f"{path}: line {line}: {len(fields)} fields, the header has {len(header)}; {hint}")
        values = dict(zip(header, fields, strict=True))
        if not values["image"]:
            raise InputError(f"{path}: line {line}: the image is empty; write its path")
        if "split" in values and not values["split"]:
            raise InputError(f"{path}: line {line}: the split is empty; write one for every image")
        rows.append(Row(line, values["image"], values["labels"], values.get("split", ALL)))
    if not rows:
        raise InputError(f"{path}: no images listed; write one line an image")
    _refuse_lookalikes({row.split: row.line for row in reversed(rows)}, path, "splits")
    return rows


class Labels(NamedTuple):
    """Class names (those of classes.txt, or else the ones used, sorted), the class ids of every row, and what a user
    should know of how they were read."""

    names: tuple[str, ...]
    rows: list[tuple[int, ...]]
    notes: tuple[str, ...]


def read_labels(folder: Folder, rows: Sequence[Row]) -> Labels:
    """The labels of all rows.

    InputError, naming the line, for a label that classes.txt does not know, or, without classes.txt, for one that is
    likely a mistake (see above).
    """
    path = folder.path(LABELS)
    given = [class_name(line) for line in folder.lines(CLASSES)] if folder.has(CLASSES) else None
    if given is not None and (len(set(given)) != len(given) or not given):
        raise InputError(f"{folder.path(CLASSES)}: empty or a name twice; write one class name a line")
    used, separator = _split_cells(rows, frozenset(given or ()), path)
    lines: dict[str, int] = {}
    for row, labels in zip(rows, used, strict=True):
        for name in labels:
            lines.setdefault(name, row.line)
    names = given or sorted(lines)
    if not names:
        raise InputError(f"{path}: no image has a label; fill the column labels")
    if given is None:
        _check_names(lines, path)
    elif unknown := [name for name in lines if name not in set(given)]:
        where = f"{path}: line {lines[unknown[0]]}"
        raise InputError(f"{where}: label '{unknown[0]}' is not in classes.txt{nearest(unknown[0], names)}")
    class_of = {name: class_id for class_id, name in enumerate(names)}
    ids = [tuple(sorted({class_of[name] for name in labels})) for labels in used]
    return Labels(tuple(names), ids, _blanks_note(rows, used, path) if separator is None and given is None else ())


def _text(folder: Folder) -> str:
    """The file's text: UTF-8, or UTF-16 with its mark, as spreadsheets save "Unicode text"."""
    content = folder.read(LABELS)
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\0" in content and not marked:
        raise InputError(f"{folder.path(LABELS)}: holds zero bytes, as UTF-16 without its mark does; save it as UTF-8")
    try:
        return content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{folder.path(LABELS)}: line {line}: not UTF-8 text; save it as 'CSV UTF-8', or convert it: "
            "iconv -f cp1252 -t utf-8 (where cp1252 is what it was written in)"
        ) from error


def _lines(text: str, path: str) -> list[tuple[int, list[str]]]:
    """Line number and stripped fields of every line that is not empty, by the delimiter that makes a header."""
    told = SEPARATOR_LINE.fullmatch(text.partition("\n")[0])
    parsed = {}
    for delimiter in (told[1],) if told else DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            found = [(reader.line_num, [field.strip() for field in fields]) for fields in reader if any(fields)]
        except csv.Error as error:
            raise InputError(f"{path}: line {reader.line_num}: {error}; write comma-separated values") from error
        parsed[delimiter] = found[1:] if told else found
        if parsed[delimiter] and _is_header([name.lower() for name in parsed[delimiter][0][1]]):
            _refuse_open_quotes(parsed[delimiter], path)
            return parsed[delimiter]
    return next(iter(parsed.values()))


def _refuse_open_quotes(lines: Iterable[tuple[int, list[str]]], path: str) -> None:
    for line, fields in lines:
        if any("\n" in field for field in fields):
            raise InputError(f"{path}: a cell that ends on line {line} goes over several lines; close its quote")


def _without_empty_end(fields: list[str], n: int) -> list[str]:
    """`fields` without those at the end, beyond the first `n`, that are empty: spreadsheets write such columns."""
    end = max((place for place, field in enumerate(fields, 1) if field), default=0)
    return fields[: max(end, min(n, len(fields)))]


def _is_header(fields: Sequence[str]) -> bool:
    return {"image", "labels"} <= set(fields)


def _split_cells(rows: Sequence[Row], given: frozenset[str], path: str) -> tuple[list[list[str]], str | None]:
    """The label names of every row; and the sign that separates them, None: blanks."""
    lists = {row.line: _listed(row.labels) for row in rows if class_name(row.labels) not in given}
    plain = [row.labels for row in rows if lists.get(row.line, ()) is None]
    separator = next((s for s in SEPARATORS if any(s in cell for cell in plain)), None)
    used = []
    for row in rows:
        parts = lists.get(row.line, [row.labels])
        parts = row.labels.split(separator) if parts is None else parts
        used.append([name for part in parts if (name := class_name(part))])
    known = {name for labels in used for name in labels}
    for row, labels in zip(rows, used, strict=True):
        if joined := next((name for name in labels if name not in given and _joins(name, known)), None):
            sign = JOINTS.findall(unicodedata.normalize("NFKC", joined))[0].strip()
            raise InputError(
                f"{path}: line {row.line}: '{joined}' separates labels with '{sign}'; write '{separator or ';'}' there "
                f"(or name the class in {CLASSES})"
            )
    return used, separator


def _joins(name: str, known: Set[str]) -> bool:
    """Whether a name is several known ones, joined by a sign."""
    parts = JOINTS.split(unicodedata.normalize("NFKC", name))
    return len(parts) > 1 and {class_name(part) for part in parts} <= known


def _blanks_note(rows: Sequence[Row], used: Sequence[Sequence[str]], path: str) -> tuple[str, ...]:
    """What to say of labels that blanks separate. Raises InputError where another line shows that they do not."""
    keys = {_lookalike(name): name for labels in used for name in labels}
    cells = [
        (row, labels) for row, labels in zip(rows, used, strict=True) if len(labels) > 1 and _listed(row.labels) is None
    ]
    for row, _ in cells:
        if other := keys.get(_lookalike(row.labels)):
            raise InputError(
                f"{path}: line {row.line}: is '{class_name(row.labels)}' the class '{other}', or several? Separate "
                f"labels with ';' (or name the classes in {CLASSES})"
            )
    if not cells:
        return ()
    row, labels = cells[0]
    return (
        f"{path}: blanks separate labels: line {row.line} is read as {', '.join(labels)}; for names that hold blanks "
        f"write ';' between labels, or name the classes in {CLASSES}",
    )


def _listed(cell: str) -> list[str] | None:
    """The items of a cell that is written as a list; None if it is not."""
    if cell == EMPTY_SET:
        return []
    if len(cell) < 2 or BRACKETS.get(cell[0]) != cell[-1]:
        return None
    try:
        items = json.loads(cell)
        if isinstance(items, dict) and items:  # no list: a name that is refused
            return [cell]
        if isinstance(items, list) and all(isinstance(item, str | int) for item in items):
            return [str(item) for item in items]
    except (ValueError, RecursionError):
        pass
    inner = cell[1:-1]
    if not QUOTED.sub("", inner).strip(" ,"):  # Python's list, or numpy's without commas
        return [single or double for single, double in QUOTED.findall(inner)]
    return inner.split(next((s for s in SEPARATORS if s in inner), None))


def _check_names(lines: Mapping[str, int], path: str) -> None:
    for name, line in lines.items():
        if name.casefold() in MISSING:
            raise InputError(
                f"{path}: line {line}: label '{name}' looks like a missing value; leave the cell empty "
                f"(or name the class in {CLASSES})"
            )
        if not name.isprintable() or not any(map(str.isalnum, name)) or name[0] in BRACKETS:
            raise InputError(
                f"{path}: line {line}: label {name!r} is not the name of a class; correct the cell, and separate "
                f"labels with ';' (or name the class in {CLASSES})"
            )
    _refuse_lookalikes(lines, path, "labels")


def _refuse_lookalikes(lines: Mapping[str, int], path: str, what: str) -> None:
    """lines: where each name occurs first."""
    seen: dict[str, str] = {}
    for name in sorted(lines, key=lambda name: lines[name]):
        other = seen.setdefault(_lookalike(name), name)
        if other != name:
            cure = f" (or list both in {CLASSES})" if what == "labels" else ""
            raise InputError(
                f"{path}: {what} '{other}' (line {lines[other]}) and '{name}' (line {lines[name]}) differ only in "
                f"case, blanks or hyphens; write one of them{cure}"
            )


def _lookalike(name: str) -> str:
    """What has to differ in two names; 1.0 is what tables make of the class 1 where cells are empty."""
    text = WHOLE_FLOAT.sub(r"\1", unicodedata.normalize("NFKC", name).casefold())
    return "".join(text.replace("-", " ").replace("_", " ").split())
