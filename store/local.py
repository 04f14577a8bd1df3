"""Objects as files of a folder, written by `data.whole_file`: whole, and on the disk, or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.errors import system_advice
from data.regular import open_regular
from data.whole_file import write_whole
from store.objects import Objects, StorageError


class LocalObjects(Objects):
    """Objects as files of a folder."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.url = str(self.root)

    def read(self, key: str, start: int | None = None, stop: int | None = None) -> bytes:
        try:
            with open_regular(self.root / key, buffering=0) as file:
                if start is None:
                    return _read_from(file, 0)
                offset = start if start >= 0 else max(0, os.fstat(file.fileno()).st_size + start)
                length = -1 if stop is None else stop - offset
                return os.pread(file.fileno(), length, offset) if 0 <= length < 2**30 else _read_from(file, offset)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(key) from error
        except OSError as error:
            raise self.explained(error, key, "read") from error

    def write(self, key: str, data: bytes) -> None:
        try:  # a name lost with the power is a shard computed again; settling it would cost a third more (0.2 ms) each
            write_whole(self.root / key, data, settled=False)
        except OSError as error:
            raise self.explained(error, key, "write") from error

    def delete(self, key: str) -> None:
        try:
            (self.root / key).unlink(missing_ok=True)
        except OSError as error:
            raise self.explained(error, key, "remove") from error

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

    def files(self, prefix: str) -> list[str]:
        top = self.root / prefix
        return sorted(entry.name for entry in top.iterdir() if not entry.is_dir()) if top.is_dir() else []

    def explained(self, error: OSError, key: str, verb: str) -> StorageError:
        advice = system_advice(error) or error.strerror or error
        return StorageError(f"{self.root / key}: could not {verb} it: {advice}")


def _read_from(file: Any, offset: int) -> bytes:
    file.seek(offset)
    return bytes(file.readall())


def _size_or_zero(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
