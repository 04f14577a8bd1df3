"""Whole objects by key, in a folder or behind an fsspec URL: the only place where the engine touches storage.

An object appears whole or not at all. Local writes go to `NAME.<random>.partial`, are flushed to the disk and renamed;
object stores (pipeline/remote_objects.py) are atomic by themselves.
"""

import errno
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from data.errors import InputError

PARTIAL = ".partial"
OPTIONS_VARIABLE = "PDSL_STORAGE_OPTIONS"
_ADVICE = {
    errno.ENOSPC: "no space left; free some, then run the same command again to continue",
    errno.EDQUOT: "the disk quota is used up; free some space, then run the same command again to continue",
    errno.EFBIG: "the file would be larger than the limit for files; raise it (ulimit -f), then run again to continue",
    errno.EROFS: "the file system is read-only; make it writable or choose another --store",
    errno.EACCES: "permission denied; make the store writable for this user or choose another --store",
    errno.EPERM: "not permitted; make the store writable for this user or choose another --store",
    errno.EIO: "the device reported an input/output error; check the disk, then run `verify` on the store",
}


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

    @abstractmethod
    def delete_tree(self, prefix: str) -> None:
        """Remove every object below `prefix`."""

    @abstractmethod
    def entries(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(key, size) of every object below `prefix`, in no order, leftovers of interrupted writes included."""

    @abstractmethod
    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below `prefix`, sorted."""

    def write_many(self, objects: Iterable[tuple[str, bytes]]) -> None:
        """Create or replace objects, each as `write` does; an object store takes many at a time."""
        for key, data in objects:
            self.write(key, data)

    def read_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Whole objects by key; missing ones are left out."""
        found = {}
        for key in keys:
            try:
                found[key] = self.read(key)
            except FileNotFoundError:
                continue
        return found

    def exists(self, key: str) -> bool:
        """Whether the object is there."""
        try:
            self.read(key, 0, 1)
        except FileNotFoundError:
            return False
        return True


def open_objects(url: str, storage_options: Mapping[str, Any] | None = None) -> Objects:
    """The objects below a local path, a `file://` URL or any fsspec URL (`s3://`, `gs://`, `memory://`).

    storage_options: of fsspec (endpoint, keys, ...). Without them the file named by the environment variable
    PDSL_STORAGE_OPTIONS (YAML or JSON) is read, if it is set; keys never need to stand on a command line.
    """
    if storage_options is None and "://" in url:
        storage_options = _options_of_environment()
    if url.startswith("file://"):
        return LocalObjects(Path(url.removeprefix("file://")))
    if "://" not in url:
        return LocalObjects(Path(url))
    from pipeline.remote_objects import RemoteObjects

    return RemoteObjects(url, storage_options)


def _options_of_environment() -> dict[str, Any]:
    path = os.environ.get(OPTIONS_VARIABLE)
    if not path:
        return {}
    try:
        options = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{OPTIONS_VARIABLE}={path}: can not be read ({error})") from error
    if not isinstance(options, dict):
        raise InputError(f"{OPTIONS_VARIABLE}={path}: expected a mapping of fsspec options")
    return options


class LocalObjects(Objects):
    """Objects as files of a folder."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.url = str(self.root)

    def read(self, key: str, start: int | None = None, stop: int | None = None) -> bytes:
        try:
            with (self.root / key).open("rb", buffering=0) as file:
                if start is None:
                    return file.readall()
                offset = start if start >= 0 else max(0, os.fstat(file.fileno()).st_size + start)
                length = -1 if stop is None else stop - offset
                return os.pread(file.fileno(), length, offset) if 0 <= length < 2**30 else _read_from(file, offset)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(key) from error
        except OSError as error:
            raise self.explained(error, key, "read") from error

    def write(self, key: str, data: bytes) -> None:
        path = self.root / key
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("wb", buffering=0) as file:
                    view = memoryview(data)
                    while view:
                        view = view[file.write(view) :]
                    os.fsync(file.fileno())
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self.explained(error, key, "write") from error

    def delete(self, key: str) -> None:
        try:
            (self.root / key).unlink(missing_ok=True)
        except OSError as error:
            raise self.explained(error, key, "remove") from error

    def delete_tree(self, prefix: str) -> None:
        top = self.root / prefix
        try:
            for folder, _, names in os.walk(top, topdown=False):
                for name in names:
                    (Path(folder) / name).unlink(missing_ok=True)
                Path(folder).rmdir()
        except OSError as error:
            raise self.explained(error, prefix, "remove") from error

    def entries(self, prefix: str) -> Iterator[tuple[str, int]]:
        folders = [self.root / prefix]
        while folders:
            try:
                with os.scandir(folders.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(Path(entry.path))
                        else:
                            yield os.path.relpath(entry.path, self.root), _size_or_zero(entry)
            except (FileNotFoundError, NotADirectoryError):
                continue

    def folders(self, prefix: str) -> list[str]:
        top = self.root / prefix
        return sorted(entry.name for entry in top.iterdir() if entry.is_dir()) if top.is_dir() else []

    def explained(self, error: OSError, key: str, verb: str) -> StorageError:
        advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}")
        return StorageError(f"{self.root / key}: could not {verb} it: {advice}")


def _read_from(file: Any, offset: int) -> bytes:
    file.seek(offset)
    return bytes(file.readall())


def _size_or_zero(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
