"""Whole objects by key: all that the store asks of storage. An object appears whole or not at all.

`store/local.py` keeps them in a folder, `store/remote.py` behind an fsspec URL; `store/storage.py` chooses.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

from data.errors import InputError

Range = tuple[str, int | None, int | None]
"""An object's key and the bytes [start, stop) of it, as `Objects.read` takes them."""


class StorageError(InputError):
    """The storage refused a read or a write; the message names the object and says what to do."""


class Objects(ABC):
    """A flat space of objects below one URL. Keys are relative paths with "/"."""

    url: str
    is_local = False

    @abstractmethod
    def read(self, key: str, start: int | None = None, stop: int | None = None) -> bytes:
        """Bytes [start, stop) of an object, all by default; a negative `start` counts from the end.

        Raises FileNotFoundError if there is no such object, StorageError if it can not be read.
        """

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Create or replace an object, whole and durable on return. Raises StorageError."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; one that does not exist is fine."""

    def delete_many(self, keys: Iterable[str]) -> None:
        """Remove objects, each as `delete` does; an object store takes many at a time."""
        for key in keys:
            self.delete(key)

    @abstractmethod
    def entries(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(key, size) of every object below `prefix`, in no order, leftovers of interrupted writes included."""

    @abstractmethod
    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below `prefix`, sorted."""

    @abstractmethod
    def files(self, prefix: str) -> list[str]:
        """Names of the objects directly below `prefix`, sorted."""

    def write_many(self, objects: Iterable[tuple[str, bytes]]) -> None:
        """Create or replace objects, each as `write` does; an object store takes many at a time."""
        for key, data in objects:
            self.write(key, data)

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes | None]:
        """Each as `read` does, None where there is no such object; an object store answers all in one round trip."""
        found: list[bytes | None] = []
        for key, start, stop in ranges:
            try:
                found.append(self.read(key, start, stop))
            except FileNotFoundError:
                found.append(None)
        return found

    def read_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Whole objects by key; missing ones are left out."""
        found = {}
        for key in keys:
            try:
                found[key] = self.read(key)
            except FileNotFoundError:
                continue
        return found
