"""A plain folder: images and one `labels.csv`.

```
DIR/images/…        images, also in sub-folders (or directly in DIR where there is no images/)
DIR/labels.csv      header `image,labels` and optionally `split` (data/labels_csv.py)
DIR/classes.txt     optional: class names in order, one a line; else the names used, sorted
```

`image` is the path below images/ (with or without that name; without the suffix, if one file is called so). Empty
labels: no class. Images that labels.csv does not list are left out. There is no ground truth but the labels.

Without a `split` column there is one split, `all`; with it, `all` joins them. Instead of the column,
`folder:DIR?val=0.2` keeps a fifth of the images for evaluation, and `folder:DIR?val=FILE` those that DIR/FILE lists:
splits `train` and `val`.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from data.errors import InputError, nearest, some
from data.files import Folder
from data.image_files import FileIndex, header_sizes
from data.labels_csv import ALL, IMAGES, LABELS, Row, read_labels, read_rows
from data.names import is_image, relative, stem, usual_split
from data.records import ImageList, ImageRecord, Records

SHARE = re.compile(r"[0-9]*\.?[0-9]+$|[0-9]+\.$")
"""What `val` looks like if it is no list of images."""


def load_images(place: str, spec: str, split: str, *, exif: bool = True, val: str | None = None) -> ImageList:
    """The records of a split in the order of labels.csv; sizes from the images' headers, upright with `exif`.

    val: a share of the images, or a list of them, which are split `val`.

    Raises InputError, naming file and line, for a missing column, a missing image, one that is listed twice, and a
    label that classes.txt does not know or that is no name of a class. `notes` tells of labels that blanks separate and
    counts images that are not listed.
    """
    folder = Folder.at(place)
    rows = _rows(folder, val)
    known = _splits(rows)
    if split not in known:
        raise InputError(f"{folder.path(LABELS)}: no split '{split}'{nearest(split, known)}")
    labels = read_labels(folder, rows)
    index = FileIndex(folder.below(IMAGES) if folder.has(IMAGES) else folder)
    files = _image_files(index, rows, folder.path(LABELS))
    chosen = [k for k, row in enumerate(rows) if split in (ALL, row.split)]
    paths = [index.folder.path(files[k]) for k in chosen]
    sizes = header_sizes(paths, exif=exif)
    records = Records.of(
        ImageRecord(stem(files[k]), path, size, labels.rows[k])
        for k, path, size in zip(chosen, paths, sizes, strict=True)
    )
    unlisted = () if index.folder == folder else _unlisted(index, files)  # DIR itself may hold other things
    category_ids = tuple(range(1, len(labels.names) + 1))
    return ImageList(spec, split, labels.names, category_ids, records, exif=exif, notes=(*labels.notes, *unlisted))


def splits(place: str, val: str | None = None) -> list[str]:
    """Names of the splits: those of the column `split` or of `val`, and `all`."""
    return _splits(_rows(Folder.at(place), val))


def default_splits(place: str, val: str | None = None) -> tuple[str, str]:
    """Those for training and for validation (or testing) where the column or `val` names them, else `all` for both."""
    known = splits(place, val)
    train, val = usual_split(known, "train"), usual_split(known, "val", "dev", "test")
    return (train, val) if train and val else (ALL, ALL)


def _rows(folder: Folder, val: str | None) -> list[Row]:
    """The rows of labels.csv, with the splits that `val` makes. Raises InputError where it can not make them."""
    rows = read_rows(folder)
    if val is None:
        return rows
    option = f"folder:{folder.url}?val={val}"
    if line := next((row.line for row in rows if row.split != ALL), None):
        raise InputError(f"{option}: {folder.path(LABELS)} has a column split (line {line}); take one of the two away")
    chosen = _by_share(rows, val, option) if SHARE.match(val) else _by_list(rows, folder, val)
    if not 0 < sum(chosen) < len(rows):
        raise InputError(f"{option}: leaves {'training' if all(chosen) else 'evaluation'} without images; name others")
    return [replace(row, split="val" if kept else "train") for row, kept in zip(rows, chosen, strict=True)]


def _by_share(rows: Sequence[Row], val: str, option: str) -> list[bool]:
    """By a hash of the image's name: an image stays on its side when others come or go."""
    if not 0 < float(val) < 1:
        raise InputError(f"{option}: a share of the images lies between 0 and 1, as 0.2 does")
    hashes = (hashlib.sha256(_name(row.image).encode("utf-8", "surrogatepass")).digest()[:8] for row in rows)
    return [int.from_bytes(digest) < float(val) * 2**64 for digest in hashes]


def _by_list(rows: Sequence[Row], folder: Folder, name: str) -> list[bool]:
    """By a file that names images, one a line, as labels.csv does; suffixes may be left out."""
    if not folder.has(name):
        raise InputError(f"{folder.path(name)}: no such file; list in it the images for evaluation, or give ?val=0.2")
    known = {_name(row.image) for row in rows}
    listed = {_name(line): line for line in folder.lines(name)}
    if unknown := [line for key, line in listed.items() if key not in known]:
        raise InputError(f"{folder.path(name)}: not in {LABELS}: {some(unknown)}{nearest(_name(unknown[0]), known)}")
    return [_name(row.image) in listed for row in rows]


def _name(image: str) -> str:
    """An image as labels.csv or a list calls it, without `images/` and suffix."""
    return stem(relative(image).removeprefix(f"{IMAGES}/"))


def _splits(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys([*(row.split for row in rows), ALL]))


def _image_files(index: FileIndex, rows: Sequence[Row], where: str) -> list[str]:
    """The file of each row, relative to the index's folder; InputError where rows and files contradict each other."""
    without_suffix = defaultdict(list)
    for name in filter(is_image, index.files):
        without_suffix[stem(name)].append(name)
    found: list[str] = []
    seen: dict[str, tuple[int, str]] = {}
    for row in rows:
        image = relative(row.image)
        inner = image.removeprefix(f"{IMAGES}/")
        file = index.find(image) or index.find(inner)
        if file is None:
            same = without_suffix.get(image) or without_suffix.get(inner) or []
            if len(same) != 1:
                place = index.folder.path(inner)
                same = sorted(same or index.ending(inner))
                which = f"; which is it, {' or '.join(same[:3])}?" if same else "; correct the path or add it"
                raise InputError(f"{where}: line {row.line}: no image {place}{which}")
            file = same[0]
        if (image_id := stem(file)) in seen:
            line, other = seen[image_id]
            cure = "join the lines" if other == file else f"as {other}: rename one of the two files"
            raise InputError(f"{where}: line {row.line}: image '{image_id}' is already on line {line}; {cure}")
        seen[image_id] = (row.line, file)
        found.append(file)
    return found


def _unlisted(index: FileIndex, files: Sequence[str]) -> tuple[str, ...]:
    extra = sorted(set(filter(is_image, index.files)).difference(files))
    extra = [name for name in extra if not name.rpartition("/")[2].startswith(".")]
    if not extra:
        return ()
    verb = "image is" if len(extra) == 1 else "images are"
    return (f"{index.folder.url}: {len(extra)} {verb} not listed in {LABELS} and left out: {some(extra)}",)
