"""Objects behind an fsspec file system. Errors that pass (a 503, a broken connection) are retried for a minute."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from data.files import OPTIONS_VARIABLE, open_filesystem
from data.retry import UnreachableError, retried
from store.objects import Objects, StorageError

T = TypeVar("T")

TOGETHER = 256
"""Objects written at a time."""


class RemoteObjects(Objects):
    """Objects behind an fsspec file system. Listings are never cached: other machines write too."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        uncached = {} if url.startswith("memory://") else {"use_listings_cache": False}
        self._fs, root = open_filesystem(self.url, **uncached)
        self._root = root.rstrip("/")

    def read(self, key: str, start: int | None = None, stop: int | None = None) -> bytes:
        return bytes(self._attempt(key, "read", lambda: self._fs.cat_file(self._path(key), start=start, end=stop)))

    def read_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        paths = {self._path(key): key for key in keys}
        if not paths:
            return {}
        found = self._fs.cat(list(paths), on_error="return") if len(paths) > 1 else {}
        result = {}
        for path, key in paths.items():
            value = found.get(path)
            if isinstance(value, bytes):
                result[key] = value
            elif not isinstance(value, FileNotFoundError):
                try:
                    result[key] = self.read(key)
                except FileNotFoundError:
                    continue
        return result

    def write(self, key: str, data: bytes) -> None:
        self._attempt(key, "write", lambda: self._fs.pipe_file(self._path(key), data))

    def write_many(self, objects: Iterable[tuple[str, bytes]]) -> None:
        remaining = iter(objects)
        while batch := dict(islice(remaining, TOGETHER)):
            try:
                self._fs.pipe({self._path(key): data for key, data in batch.items()})
            except Exception:  # one by one: with retries, and with a message that names the object
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
        except Exception:  # one by one, with retries
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
        def inside() -> list[dict[str, Any]]:
            self._fs.invalidate_cache()
            return list(self._fs.ls(self._path(prefix), detail=True))

        try:
            found = self._attempt(prefix, "list", inside)
        except FileNotFoundError:
            return []
        return sorted(info["name"].rstrip("/").rsplit("/", 1)[-1] for info in found if info["type"] == "directory")

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def _attempt(self, key: str, verb: str, action: Callable[[], T]) -> T:
        try:
            return retried(action)
        except FileNotFoundError as error:
            raise FileNotFoundError(key) from error
        except UnreachableError as error:
            raise StorageError(
                f"{self.url}/{key}: could not {verb} it {error}; "
                "check the object store, then run the same command again to continue"
            ) from error
        except Exception as error:
            advice = ""
            if "Credential" in type(error).__name__:
                advice = (
                    f"; set the usual variables (AWS_ACCESS_KEY_ID, …), or name a file of options by {OPTIONS_VARIABLE}"
                )
            if isinstance(error, TypeError | ValueError) and (path := os.environ.get(OPTIONS_VARIABLE)):
                advice = f"; check the options of {OPTIONS_VARIABLE}={path}"
            raise StorageError(f"{self.url}/{key}: could not {verb} it: {error}{advice}") from error
