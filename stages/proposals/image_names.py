"""Image ids of the data set found among the names that files of proposals use for them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from data.errors import InputError
from data.names import relative, stem
from pipeline.spec import ImageFailure

T = TypeVar("T")

NOT_IN_FILE = "not in file"
FEW = 3
"""Names of a file that a message shows."""
COCO_STEM = re.compile(r"(?:COCO_\w+_)?(\d{12})")


class ImageTable(dict[str, T]):
    """Entries by every name under which an image may be asked for. unclear: names that several keys could mean, and
    which these are; unless one of them is the name itself, it stands for none of them."""

    unclear: Mapping[str, Sequence[str]]


def by_image_name(table: Mapping[str, T]) -> ImageTable[T]:
    """`table` with every other name under which an image may be asked for; the table's own keys come first.

    A key may be a path ("images/000005.jpg"), and COCO's padded numbers stand for the plain ones.
    """
    keys_of: dict[str, list[str]] = defaultdict(list)
    for key in table:
        for name in (key, *_other_names(key)):
            keys_of[name].append(key)
    others = {name: table[keys[0]] for name, keys in keys_of.items() if len(keys) == 1 and name not in table}
    named = ImageTable({**table, **others})
    named.unclear = {name: keys for name, keys in keys_of.items() if len(keys) > 1}
    return named


def find(table: Mapping[str, T], image_id: str) -> T:
    """The entry of an image: under its id, or for ids that others turned into integers ("2007_000032", "000005") under
    the number. Raises ImageFailure "not in file"."""
    key = _key(table, image_id)
    if key is None:
        raise ImageFailure(NOT_IN_FILE)
    return table[key]


def missing(table: Mapping[str, object], image_ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """(those images of which the table has nothing, how the table calls its images: the first FEW names)."""
    return [image_id for image_id in image_ids if _key(table, image_id) is None], list(table)[:FEW]


def refuse_unclear(table: ImageTable[T], image_ids: Iterable[str], where: str) -> None:
    """Raises InputError, naming the files' place `where`, for an image that several entries could mean, unless the
    others are further images of the data set."""
    asked = dict.fromkeys(image_ids)
    for image_id in asked:
        keys = table.unclear.get(image_id, ())
        if [key for key in keys if key == image_id or key not in asked] not in ([], [image_id]):
            raise InputError(f"{where}: {keys[0]} is the same image as {keys[1]} ('{image_id}'); keep one of them")


def _key(table: Mapping[str, object], image_id: str) -> str | None:
    if image_id in table:
        return image_id
    digits = image_id.replace("_", "")
    return key if digits.isdecimal() and (key := str(int(digits))) in table else None


def _other_names(key: str) -> set[str]:
    path = stem(relative(key))
    name = path.rpartition("/")[2]
    names = {path, name}
    if match := COCO_STEM.fullmatch(name):
        names.add(str(int(match.group(1))))
    return names - {key}
