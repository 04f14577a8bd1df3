"""VOC's results files: `comp4_det_<split>_<class>.txt` (comp3: nothing but VOC was learnt from), one line a detection.

image score xmin ymin xmax ymax        pixels from 1, the last ones included
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from data.errors import InputError, nearest
from data.records import ImageList
from data.regular import read_regular
from data.whole_file import write_whole
from pdsl.evaluate.predictions import Prediction

NAME = re.compile(r"(comp[34])_det_(.+)\.txt")


def read_voc_results(path: Path, images: ImageList) -> list[Prediction]:
    """Detections, without masks, of a folder of such files or of one of them; a class without a file has none.

    In a folder that has files of the split, those of other splits are left alone. Raises InputError, naming file and
    line.
    """
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError as error:
        raise InputError(f"{path}: can not be read ({error.strerror})") from error
    named = {file: match for file in files if (match := NAME.fullmatch(file.name))}
    if not named:
        example = file_name(images, images.class_names[0])
        raise InputError(f"{path}: no results; VOC's files are called like {example}")
    own = {f"{_split_name(images)}_{name}" for name in images.class_names}
    named = {file: match for file, match in named.items() if match[2] in own} or named
    if len({match[1] for match in named.values()}) > 1:
        raise InputError(f"{path}: holds files of comp3 and of comp4; name a folder with those of one")
    known = {record.id for record in images.records}
    class_of = {file: _class_id(file, match[2], images) for file, match in named.items()}
    class_id, often = Counter(class_of.values()).most_common(1)[0]
    if often > 1:
        name = images.class_names[class_id]
        raise InputError(f"{path}: {often} files of class '{name}'; name a folder with those of one split")
    return [p for file, class_id in class_of.items() for p in _read(file, class_id, known)]


def write_voc_results(folder: Path, predictions: Iterable[Prediction], images: ImageList) -> None:
    """Write the boxes as one file a class into `folder`, under comp4: the backbone learnt from other data than VOC."""
    names = [file_name(images, name) for name in images.class_names]  # all, before the first is written
    lines: dict[int, list[str]] = defaultdict(list)
    for p in predictions:
        x0, y0, x1, y1 = p.box
        lines[p.class_id].append(f"{p.image_id} {p.score:.9g} {x0 + 1:.3f} {y0 + 1:.3f} {x1:.3f} {y1:.3f}\n")
    for class_id, name in enumerate(names):
        write_whole(folder / name, "".join(lines[class_id]))


def file_name(images: ImageList, class_name: str) -> str:
    """What the devkit calls the file of a class: the split by the name of its list. InputError for a name with "/"."""
    if "/" in class_name or "\0" in class_name:
        raise InputError(f"class '{class_name}': can not be part of a file's name; rename it to write VOC results")
    return f"comp4_det_{_split_name(images)}_{class_name}.txt"


def _split_name(images: ImageList) -> str:
    return images.split.removeprefix("seg-")


def _class_id(file: Path, rest: str, images: ImageList) -> int:
    """The class that ends a file's name, the longest that fits: names may hold underscores themselves."""
    fitting = [name for name in images.class_names if rest.endswith(f"_{name}")]
    if not fitting:
        name = rest.rpartition("_")[2]
        raise InputError(f"{file}: '{name}' is not a class of {images.spec}{nearest(name, images.class_names)}")
    return images.class_names.index(max(fitting, key=len))


def _read(file: Path, class_id: int, known: set[str]) -> list[Prediction]:
    try:
        lines = read_regular(file).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: can not be read ({error})") from error
    predictions = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                predictions.append(_prediction(line, class_id, known))
            except ValueError as error:
                raise InputError(f"{file}: line {number}: {error}") from error
    return predictions


def _prediction(line: str, class_id: int, known: set[str]) -> Prediction:
    fields = line.strip().rsplit(maxsplit=5)
    if len(fields) != 6:
        raise ValueError(f"'{line.strip():.60}' is not: image score xmin ymin xmax ymax")
    if fields[0] not in known:
        raise ValueError(f"'{fields[0]:.60}' is not an image of the split, whose ids look like '{min(known)}'")
    score, *corners = (_number(text) for text in fields[1:])
    box = np.array(corners) - [1, 1, 0, 0]
    if (box[2:] < box[:2]).any():
        raise ValueError(f"the box {' '.join(fields[2:])} is reversed; the order is xmin ymin xmax ymax")
    return Prediction(fields[0], class_id, score, box)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"'{text:.60}' is not a finite number")
    return value
