"""Image files on disk, found by the names that lists and annotations give them, and their sizes."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial

from data.decode import DecodeError, image_size
from data.files import Folder, is_url
from data.names import name_key

HEADER_THREADS = 16
"""Headers read at a time where each is a request to an object store."""


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
