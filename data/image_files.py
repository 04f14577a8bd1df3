"""Image files on disk and the names by which lists and annotations call them, which seldom agree to the letter."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import PurePosixPath

from data.decode import DecodeError, image_size
from data.files import Folder, is_url

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"),
    *(".avif", ".heic", ".heif"),
)
"""What files are called that are meant to be images, whether or not the decoder knows their format; likeliest first."""
HEADER_THREADS = 16
"""Headers read at a time where each is a request to an object store."""
DRIVE = re.compile(r"^[A-Za-z]:/")


def is_image(name: str) -> bool:
    """Whether a file's name says that it is an image."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def stem(name: str) -> str:
    """A relative path without the suffix of an image ("b/0001.v2.jpg" -> "b/0001.v2"); other suffixes stay."""
    return name[: -len(PurePosixPath(name).suffix)] if is_image(name) else name


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


class FileIndex:
    """The files below a folder, listed once, when first asked for."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    @cached_property
    def files(self) -> frozenset[str]:
        """Relative paths of all files."""
        return frozenset(self.folder.files())

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for path in sorted(self.files):
            found[name_key(path.rpartition("/")[2])].append(path)
        return found

    def find(self, path: str) -> str | None:
        """The file of this relative path, or else the only one whose path differs in nothing but its spelling."""
        if path in self.files:
            return path
        same = [p for p in self._by_name.get(name_key(path.rpartition("/")[2]), ()) if name_key(p) == name_key(path)]
        return same[0] if len(same) == 1 else None

    def ending(self, path: str) -> list[str]:
        """The files whose path ends with these parts, spelled like it if there are such; sorted."""
        listed = self._by_name.get(name_key(path.rpartition("/")[2]), ())
        exact = [p for p in listed if f"/{p}".endswith(f"/{path}")]
        return exact or [p for p in listed if name_key(f"/{p}").endswith(name_key(f"/{path}"))]


def header_sizes(paths: Sequence[str], *, exif: bool) -> list[tuple[int, int]]:
    """(height, width) of images from their headers, upright with `exif`; (0, 0) where a header cannot be read."""
    with ThreadPoolExecutor(HEADER_THREADS if any(map(is_url, paths)) else 1) as pool:
        return list(pool.map(partial(_header_size, exif=exif), paths))


def _header_size(path: str, exif: bool) -> tuple[int, int]:
    try:
        return image_size(path, exif=exif)
    except DecodeError:
        return 0, 0  # the stages record the reason when they decode it
