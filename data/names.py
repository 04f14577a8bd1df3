"""Names of files, classes and splits, as lists and annotations write them: they seldom agree to the letter."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"),
    *(".avif", ".heic", ".heif"),
)
"""What files are called that are meant to be images, whether or not the decoder knows their format; likeliest first."""
DRIVE = re.compile(r"^[A-Za-z]:/")


def is_image(name: str) -> bool:
    """Whether a file's name says that it is an image."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def stem(name: str) -> str:
    """A relative path without the suffix of an image ("b/0001.v2.jpg" -> "b/0001.v2"); other suffixes stay."""
    return name[: -len(PurePosixPath(name).suffix)] if is_image(name) else name


def class_name(text: str) -> str:
    """The name of a class as it is compared: composed characters, single blanks.

    >>> class_name(" red  cat\\n")
    'red cat'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def name_key(name: str) -> str:
    """What two spellings of a name share: composed and decomposed characters, upper and lower case are one."""
    return unicodedata.normalize("NFC", name).casefold()


def relative(name: str) -> str:
    """A path as an annotation file gives it, with "/" and without what comes before and at the root: "a\\1.jpg" ->
    "a/1.jpg", "./1.jpg" -> "1.jpg"."""
    parts = DRIVE.sub("", name.replace("\\", "/")).split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def leaves_root(name: str) -> bool:
    """Whether a path of an annotation file is one of another machine: absolute, or through a folder above."""
    path = name.replace("\\", "/")
    return path.startswith("/") or DRIVE.match(path) is not None or ".." in path.split("/")


def usual_split(names: Iterable[str], *kinds: str) -> str | None:
    """The split that is called like one of `kinds`, the first of them that is there.

    "train" finds Train, training and train2017; of several one of kind and year alone, and of these the last.
    """
    latest = sorted(names, reverse=True)
    for kind in kinds:
        if fitting := [name for name in latest if name_key(name).startswith(kind)]:
            return min(fitting, key=lambda name: not f"{name_key(name).removeprefix(kind)}0".isdigit())
    return None


def file_names(paths: Sequence[str]) -> list[str]:
    """The files' names where all differ, else their paths below the folder that holds them all."""
    names = [path.rpartition("/")[2] for path in paths]
    if len(set(names)) == len(names):
        return names
    parts = [path.split("/")[:-1] for path in paths]
    shared = next(n for n in range(len(parts[0]), -1, -1) if all(p[:n] == parts[0][:n] for p in parts))
    return ["/".join(path.split("/")[shared:]) for path in paths]
