"""Local files and nothing else: a named pipe would wait for ever, a device may never end, and a file that takes the
place of one by renaming ends it."""

import errno
import os
import stat
from pathlib import Path
from typing import IO


def open_regular(path: str | Path, buffering: int = -1) -> IO[bytes]:
    """A local file opened for reading, as `open` does and with its errors.

    Raises OSError (ENXIO) for a pipe, a socket or a device, (EISDIR) for a folder. It never waits.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.ENXIO, "no regular file", str(path))
        return os.fdopen(handle, "rb", buffering)
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | Path) -> bytes:
    """The content of a local file; see `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def refuse_irregular(path: str | Path) -> None:
    """Raises OSError (ENXIO) where `path` is there, or links to what is there, and is neither file nor folder."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.ENXIO, "no regular file", str(path))
