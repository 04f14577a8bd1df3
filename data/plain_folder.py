"""A plain folder: images and one `labels.csv`.

```
DIR/images/…        images, also in sub-folders (or directly in DIR where there is no images/)
DIR/labels.csv      header `image,labels` and optionally `split`
DIR/classes.txt     optional: class names in order, one a line; else the names used, sorted
```

`image` is the path below images/ (with or without that name). Labels are separated by `;`, or by spaces if no `;`
occurs in the whole column; a name with spaces therefore needs a `;` somewhere or a classes.txt. Empty labels: no class.
Without a `split` column there is one split, `all`; with it, `all` joins them. There is no ground truth.
"""

import csv
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from data.decode import DecodeError, image_size
from data.errors import InputError, nearest, some
from data.files import Folder, is_url
from data.records import ImageList, ImageRecord

ALL = "all"
IMAGES, LABELS = "images", "labels.csv"
COLUMNS = ("image", "labels", "split")
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2", ".avif")
)
HEADER_THREADS = 16
"""Headers read at a time where each is a request to an object store."""


@dataclass(frozen=True)
class _Row:
    line: int
    image: str
    labels: str
    split: str


def load_images(place: str, spec: str, split: str, *, exif: bool = True) -> ImageList:
    """The records of a split in the order of labels.csv; sizes from the images' headers, upright with `exif`.

    Raises InputError, naming file and line, for a missing column, a missing image, one that is listed twice or not at
    all, and a label that classes.txt does not know.
    """
    folder = Folder.at(place)
    rows = _rows(folder)
    known = _splits(rows)
    if split not in known:
        raise InputError(f"{folder.path(LABELS)}: no split '{split}'{nearest(split, known)}")
    names, labels = _labels(folder, rows)
    paths = _image_paths(folder, rows)
    chosen = [k for k, row in enumerate(rows) if split in (ALL, row.split)]
    with ThreadPoolExecutor(HEADER_THREADS if is_url(folder.url) else 1) as pool:
        sizes = list(pool.map(partial(_size, exif=exif), [paths[k] for k in chosen]))
    records = tuple(
        ImageRecord(_image_id(rows[k].image), paths[k], size, labels[k]) for k, size in zip(chosen, sizes, strict=True)
    )
    return ImageList(spec, split, names, tuple(range(1, len(names) + 1)), records, exif=exif)


def splits(place: str) -> list[str]:
    """Names of the splits: those of the column `split`, and `all`."""
    return _splits(_rows(Folder.at(place)))


def default_splits(place: str) -> tuple[str, str]:
    """train and val (or test) where the column names them, else `all` for both."""
    known = splits(place)
    val = next((name for name in ("val", "test") if name in known), None)
    return ("train", val) if "train" in known and val else (ALL, ALL)


def _rows(folder: Folder) -> list[_Row]:
    path = folder.path(LABELS)
    if not folder.has(LABELS):
        raise InputError(f"{path}: no such file; write one with the header image,labels")
    reader = csv.reader(io.StringIO(folder.read_text(LABELS), newline=""))
    try:
        lines = [(reader.line_num, [field.strip() for field in fields]) for fields in reader if any(fields)]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: {error}; write comma-separated values") from error
    header = [name.lower() for name in lines[0][1]] if lines else []
    if not {"image", "labels"} <= set(header) <= set(COLUMNS) or len(set(header)) != len(header):
        found = ",".join(header) or "nothing"
        raise InputError(f"{path}: the first line is '{found}'; it must be image,labels or image,labels,split")
    prefix = f"{IMAGES}/" if folder.has(IMAGES) else ""
    rows = []
    for line, fields in lines[1:]:
        if len(fields) != len(header):
            hint = "separate labels with ';'" if len(fields) > len(header) else "write every column"
            raise InputError(f"{path}: line {line}: {len(fields)} fields, the header has {len(header)}; {hint}")
        values = dict(zip(header, fields, strict=True))
        if "split" in values and not values["split"]:
            raise InputError(f"{path}: line {line}: the split is empty; write one for every image")
        image = values["image"].replace("\\", "/").removeprefix(prefix)
        rows.append(_Row(line, image, values["labels"], values.get("split", ALL)))
    if not rows:
        raise InputError(f"{path}: no images listed; write one line an image")
    return rows


def _splits(rows: Sequence[_Row]) -> list[str]:
    return list(dict.fromkeys([*(row.split for row in rows), ALL]))


def _labels(folder: Folder, rows: Sequence[_Row]) -> tuple[tuple[str, ...], list[tuple[int, ...]]]:
    """Class names, and the class ids of every row."""
    given = folder.lines("classes.txt") if folder.has("classes.txt") else None
    if given is not None and (len(set(given)) != len(given) or not given):
        raise InputError(f"{folder.path('classes.txt')}: empty or a name twice; write one class name a line")
    separator = ";" if any(";" in row.labels for row in rows) else None
    used = [_split_labels(row.labels, separator, given or ()) for row in rows]
    names = given or sorted({name for labels in used for name in labels})
    if not names:
        raise InputError(f"{folder.path(LABELS)}: no image has a label; fill the column labels")
    class_of = {name: class_id for class_id, name in enumerate(names)}
    for row, labels in zip(rows, used, strict=True):
        for name in labels:
            if name not in class_of:
                where = f"{folder.path(LABELS)}: line {row.line}"
                raise InputError(f"{where}: label '{name}' is not in classes.txt{nearest(name, names)}")
    return tuple(names), [tuple(sorted({class_of[name] for name in labels})) for labels in used]


def _split_labels(cell: str, separator: str | None, given: Sequence[str]) -> list[str]:
    parts = [cell] if cell in given else cell.split(separator)
    return [name for part in parts if (name := part.strip())]


def _image_paths(folder: Folder, rows: Sequence[_Row]) -> list[str]:
    """Path of each row's image; InputError where rows and files contradict each other."""
    root = folder.below(IMAGES) if folder.has(IMAGES) else folder
    files = {name for name in root.files() if PurePosixPath(name).suffix.lower() in SUFFIXES}
    where = folder.path(LABELS)
    seen: dict[str, int] = {}
    for row in rows:
        if row.image not in files:
            raise InputError(f"{where}: line {row.line}: no image {root.path(row.image)}; correct the path or add it")
        if (image_id := _image_id(row.image)) in seen:
            other = seen[image_id]
            raise InputError(f"{where}: line {row.line}: image '{image_id}' is already on line {other}; join the lines")
        seen[image_id] = row.line
    extra = sorted(files - {row.image for row in rows})
    if extra and root is not folder:  # DIR itself may hold other things
        raise InputError(
            f"{where}: {len(extra)} images of {root.url} are not listed: {some(extra)}; add lines (labels may be empty)"
        )
    return [root.path(row.image) for row in rows]


def _image_id(image: str) -> str:
    return str(PurePosixPath(image).with_suffix(""))


def _size(path: str, exif: bool) -> tuple[int, int]:
    try:
        return image_size(path, exif=exif)
    except DecodeError:
        return 0, 0  # the stages record the reason when they decode it
