"""A checksum inside a torch file: the SHA-256 of all bytes before it, as the comment that ends a zip archive.

`torch.load` reads a sealed file as any other. torch itself checks no checksum: without the seal a flipped bit loads as
another weight.
"""

import hashlib
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from data.regular import open_regular

_END = 22
"""Bytes of a zip archive's end record without a comment; the length of the comment is its last field."""
_NO_COMMENT = b"PK\x05\x06"
_MARK = b"sha256:"
_SEAL = len(_MARK) + 64
_BLOCK = 1 << 20


class DamagedFileError(ValueError):
    """The bytes of a file are not those that were written."""


def write_sealed(file: IO[bytes], save: Callable[[Any], object]) -> None:
    """Call `save` with a stream for a zip archive, and write what it writes to `file`, with the seal.

    Raises the OSError of `file`, whatever torch makes of it.
    """
    stream = _Sealing(file)
    try:
        save(stream)
    except Exception as error:
        raise stream.error or error from None
    stream.finish()


def check_seal(path: Path) -> None:
    """Raises DamagedFileError if the file is not as it was written, OSError as `open` does.

    A file without a seal (torch.save alone) has the checksums of its zip entries compared.
    """
    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END))
        tail = file.read()
        if tail[:4] == _NO_COMMENT and tail[-2:] == b"\0\0":
            _check_entries(path)
            return
        file.seek(0)
        digest, left = hashlib.sha256(), size - _SEAL
        while left > 0 and (block := file.read(min(left, _BLOCK))):
            digest.update(block)
            left -= len(block)
        if size < _SEAL + _END or file.read() != _seal(digest):
            raise DamagedFileError("its checksum is wrong or missing: it is damaged or cut short")


def _seal(digest: Any) -> bytes:
    return _MARK + digest.hexdigest().encode()


def _check_entries(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # a damaged archive can raise anything
        raise DamagedFileError(str(error)) from error
    if damaged is not None:
        raise DamagedFileError(f"'{damaged}' in it does not match its checksum")


class _Sealing:
    """A stream that holds back the end record of the archive, into which the length of the seal goes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest, self.held = file, hashlib.sha256(), b""
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if len(view) >= _END:
            self._pass_on(self.held)
            self._pass_on(view[:-_END])
            self.held = bytes(view[-_END:])
        else:
            both = self.held + bytes(view)
            self._pass_on(both[:-_END])
            self.held = both[-_END:]
        return len(view)

    def flush(self) -> None:
        """Nothing is kept back but the end record."""

    def finish(self) -> None:
        if self.held[:4] != _NO_COMMENT:
            raise RuntimeError("torch.save wrote no plain zip archive")
        self._pass_on(self.held[:-2] + struct.pack("<H", _SEAL))
        self.file.write(_seal(self.digest))

    def _pass_on(self, data: bytes | memoryview) -> None:
        try:
            self.file.write(data)
        except OSError as error:
            self.error = error
            raise
        self.digest.update(data)
