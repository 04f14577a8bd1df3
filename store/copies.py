"""Copies of what was read from object stores, in a folder of this machine: what was fetched once is read there after.

A copy is named by all that its content depends on, carries a checksum of itself, and appears whole or not at all, so
that any number of processes may read and add at once. Those used longest ago make room for new ones.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import stat
import struct
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import google_crc32c

from data.errors import InputError
from data.regular import read_regular
from data.whole_file import PARTIAL

SUFFIX = ".copy"
LEDGER = "bytes"
"""The file that says how many bytes the copies take, and whose lock is held while that changes."""
KEPT_AFTER_SWEEP = 0.9
"""Of the limit: so that not every new copy needs a sweep."""
_OWN = re.compile(rf"[0-9a-f]{{62}}(?:{re.escape(SUFFIX)}|\.[0-9a-f]{{32}}{re.escape(PARTIAL)})")
_MAGIC = b"PDSL copy 1\n"
_FORSAKEN_SECONDS = 3600.0


class Copies:
    """The copies in `folder`, which is made where it is missing and has to be this user's alone.

    limit: bytes that all copies may take. Raises InputError for a folder that others own or may write into.
    """

    def __init__(self, folder: str | Path, limit: int) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self.limit = limit
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = self.folder.stat()
        except OSError as error:
            raise InputError(f"{self.folder}: can not hold copies ({error.strerror}); name another folder") from error
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022:
            raise InputError(
                f"{self.folder}: others own it or may write into it, and what lies there is trained on; "
                "name a folder of your own (chmod go-w)"
            )

    def get(self, name: str) -> tuple[bytes, ...] | None:
        """The parts that were put under a name; None where there are none, or no whole ones."""
        path = self._path(name)
        try:
            parts = _parts(read_regular(path))
        except OSError:
            return None
        with contextlib.suppress(OSError):
            if parts is None:
                path.unlink()
            else:
                os.utime(path)  # by this the longest unused is known
        return parts

    def put(self, name: str, parts: Sequence[bytes]) -> None:
        """Keep the parts under a name, if the limit and the disk allow it."""
        path, data = self._path(name), _packed(parts)
        if len(data) > self.limit or path.exists():
            return
        try:
            self._make_room(len(data))
            _write(path, data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
                print(f"warning: {self.folder}: no more copies are kept ({error.strerror})", file=sys.stderr)
                self.limit = 0

    def drop(self, name: str) -> None:
        """Forget what was put under a name."""
        with contextlib.suppress(OSError):
            self._path(name).unlink()

    def _path(self, name: str) -> Path:
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
        return self.folder / digest[:2] / f"{digest[2:]}{SUFFIX}"

    def _make_room(self, size: int) -> None:
        """Count `size` more bytes, after a sweep where they would go beyond the limit."""
        with self._ledger() as ledger:
            written = ledger.read(32)
            taken = int(written) if written.isdigit() else self._sweep(self.limit)
            if taken + size > self.limit:
                taken = self._sweep(min(int(self.limit * KEPT_AFTER_SWEEP), self.limit - size))
            ledger.seek(0)
            ledger.truncate()
            ledger.write(b"%d" % (taken + size))

    @contextmanager
    def _ledger(self) -> Iterator[IO[bytes]]:
        handle = os.open(self.folder / LEDGER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "r+b", buffering=0) as ledger:
            fcntl.flock(ledger, fcntl.LOCK_EX)
            yield ledger

    def _sweep(self, allowed: int) -> int:
        """Remove the copies used longest ago until the others take `allowed` bytes at most; how many these take."""
        found = []
        for folder in (entry for entry in os.scandir(self.folder) if entry.is_dir(follow_symlinks=False)):
            for entry in os.scandir(folder):
                if _OWN.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):
                        told = entry.stat(follow_symlinks=False)
                        found.append((told.st_mtime, told.st_size, entry.path))
        taken = sum(size for _, size, _ in found)
        for used, size, path in sorted(found):
            forsaken = path.endswith(PARTIAL) and time.time() - used > _FORSAKEN_SECONDS
            if forsaken or (taken > allowed and not path.endswith(PARTIAL)):
                with contextlib.suppress(FileNotFoundError):
                    Path(path).unlink()
                taken -= size
        return taken


def _packed(parts: Sequence[bytes]) -> bytes:
    """A line that says what it is, the parts' lengths, the parts, and a crc32c of all that."""
    body = b"".join([_MAGIC, struct.pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts)), *parts])
    return body + struct.pack("<I", google_crc32c.value(body))


def _parts(data: bytes) -> tuple[bytes, ...] | None:
    """The inverse of `_packed`; None for bytes that are not whole."""
    body, place = data[:-4], len(_MAGIC)
    if not body.startswith(_MAGIC) or struct.pack("<I", google_crc32c.value(body)) != data[-4:]:
        return None
    (count,) = struct.unpack_from("<Q", body, place)
    lengths = struct.unpack_from(f"<{count}Q", body, place + 8)
    place += 8 * (count + 1)
    parts = []
    for length in lengths:
        parts.append(body[place : place + length])
        place += length
    return tuple(parts)


def _write(path: Path, data: bytes) -> None:
    """Let a file appear whole. It does not wait for the disk: what a loss of power cuts off, its checksum tells."""
    path.parent.mkdir(exist_ok=True, mode=0o700)
    partial = path.with_name(f"{path.stem}.{uuid.uuid4().hex}{PARTIAL}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb", buffering=0) as file:
            file.write(data)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
