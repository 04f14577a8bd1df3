"""Objects behind an fsspec file system. Errors that pass (a 503, a broken connection) are retried for a minute."""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from data.clouds import OPTIONS_VARIABLE, advice_on, first_line, missing_holder
from data.files import open_filesystem
from data.retry import UnreachableError, retried, tried_again
from store.direct import PROTOCOLS, DirectReader
from store.objects import Objects, Range, StorageError

T = TypeVar("T")

TOGETHER = 256
"""Objects written at a time."""
_NO_SUFFIXES = ("abfs", "az", "abfss")
"""Protocols whose service knows no ranges that count from an object's end."""


class RemoteObjects(Objects):
    """Objects behind an fsspec file system. Listings are never cached: other machines write too."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        uncached = {} if url.startswith("memory://") else {"use_listings_cache": False}
        self._fs, root = open_filesystem(self.url, **uncached)
        self._root = root.rstrip("/")
        self._direct: DirectReader | None = None
        self._suffixes = self.url.partition("://")[0] not in _NO_SUFFIXES

    def read(self, key: str, start: int | None = None, stop: int | None = None) -> bytes:
        def get() -> bytes:
            begin = self._begins([(key, start, stop)])[0]
            return _tail(bytes(self._fs.cat_file(self._path(key), start=begin, end=stop)), start)

        return self._attempt(key, "read", get)

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes | None]:
        found = self._read_directly(ranges)
        lacking = [place for place, data in enumerate(found) if data is None]
        asked = [ranges[place] for place in lacking]
        answers: list[Any] = [None] * len(asked)
        if len(asked) > 1:
            paths, stops = [self._path(key) for key, _, _ in asked], [stop for _, _, stop in asked]
            try:
                answers = self._fs.cat_ranges(paths, self._begins(asked), stops, on_error="return")
            except Exception as error:  # one by one: with retries, and with a message that names the object
                tried_again(error)
                answers = [None] * len(asked)
        for place, answer, one in zip(lacking, answers, asked, strict=True):
            found[place] = self._settled(answer, *one)
        return found

    def _read_directly(self, ranges: Sequence[Range]) -> list[bytes | None]:
        """What plain requests bring, where they can be made and parts of objects are wanted."""
        parts = all((start, stop) != (None, None) for _, start, stop in ranges)
        if self.url.partition("://")[0] not in PROTOCOLS or not parts or len(ranges) < 2:
            return [None] * len(ranges)
        if self._direct is None or not self._direct.is_mine():
            self._direct = DirectReader(self._fs, self._root)
        return self._direct.read(ranges)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_direct": None}

    def _settled(self, value: Any, key: str, start: int | None, stop: int | None) -> bytes | None:
        """What a request that was one of many brought; asked for again where it brought an error that may pass."""
        if isinstance(value, bytes):
            return _tail(value, start)
        tried_again(value)
        try:
            return None if isinstance(value, FileNotFoundError) else self.read(key, start, stop)
        except FileNotFoundError:
            return None

    def _begins(self, ranges: Sequence[Range]) -> list[int | None]:
        """The starts of ranges, counted from the front where the service knows nothing else."""
        starts = [start for _, start, _ in ranges]
        backwards = [place for place, start in enumerate(starts) if start is not None and start < 0]
        if self._suffixes or not backwards:
            return starts
        paths = [self._path(ranges[place][0]) for place in backwards]
        for place, size in zip(backwards, self._sizes(paths), strict=True):
            starts[place] = max(0, size + (starts[place] or 0))
        return starts

    def _sizes(self, paths: list[str]) -> list[int]:
        from fsspec import asyn

        async def ask() -> list[dict[str, Any]]:
            return await asyncio.gather(*(self._fs._info(path, refresh=True) for path in paths))

        return [int(info["size"]) for info in asyn.sync(self._fs.loop, ask)]

    def read_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        wanted = list(keys)
        found = self.read_ranges([(key, None, None) for key in wanted])
        return {key: data for key, data in zip(wanted, found, strict=True) if data is not None}

    def write(self, key: str, data: bytes) -> None:
        self._attempt(key, "write", lambda: self._fs.pipe_file(self._path(key), data))

    def write_many(self, objects: Iterable[tuple[str, bytes]]) -> None:
        remaining = iter(objects)
        while batch := dict(islice(remaining, TOGETHER)):
            try:
                self._fs.pipe({self._path(key): data for key, data in batch.items()})
            except Exception as error:  # one by one: with retries, and with a message that names the object
                tried_again(error)
                for key, data in batch.items():
                    self.write(key, data)

    def delete(self, key: str) -> None:
        try:
            self._attempt(key, "remove", lambda: self._fs.rm_file(self._path(key)))
        except FileNotFoundError:
            return

    def delete_many(self, keys: Iterable[str]) -> None:
        doomed = list(keys)
        try:
            if doomed:
                self._fs.rm([self._path(key) for key in doomed])
        except Exception as error:  # one by one, with retries
            tried_again(error)
            for key in doomed:
                self.delete(key)

    def entries(self, prefix: str) -> Iterator[tuple[str, int]]:
        def find() -> dict[str, dict[str, Any]]:
            self._fs.invalidate_cache()
            return dict(self._fs.find(self._path(prefix), detail=True))

        try:
            found = self._attempt(prefix, "list", find)
        except FileNotFoundError:
            return
        for path, info in found.items():
            yield path.removeprefix(self._root).lstrip("/"), int(info.get("size") or 0)

    def folders(self, prefix: str) -> list[str]:
        return self._inside(prefix, "directory")

    def files(self, prefix: str) -> list[str]:
        return self._inside(prefix, "file")

    def _inside(self, prefix: str, kind: str) -> list[str]:
        def inside() -> list[dict[str, Any]]:
            self._fs.invalidate_cache()
            return list(self._fs.ls(self._path(prefix), detail=True))

        try:
            found = self._attempt(prefix, "list", inside)
        except FileNotFoundError:
            return []
        return sorted(info["name"].rstrip("/").rsplit("/", 1)[-1] for info in found if info["type"] == kind)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def _attempt(self, key: str, verb: str, action: Callable[[], T]) -> T:
        try:
            return retried(action)
        except FileNotFoundError as error:
            if verb == "write":
                raise StorageError(f"{self.url}/{key}: could not write it: {missing_holder(self.url)}") from error
            raise FileNotFoundError(key) from error
        except UnreachableError as error:
            raise StorageError(
                f"{self.url}/{key}: could not {verb} it {error}; "
                "check the object store, then run the same command again to continue"
            ) from error
        except Exception as error:
            advice = advice_on(self.url, error)
            if isinstance(error, TypeError | ValueError) and (path := os.environ.get(OPTIONS_VARIABLE)):
                advice = f"check the options of {OPTIONS_VARIABLE}={path}"
            raise StorageError(
                f"{self.url}/{key}: could not {verb} it: {first_line(error)}{advice and '; '}{advice}"
            ) from error


def _tail(data: bytes, start: int | None) -> bytes:
    """What was asked for by a negative `start`: some servers answer with more."""
    return data[start:] if start is not None and start < 0 else data
