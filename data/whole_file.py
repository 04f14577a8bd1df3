"""A file that appears whole or not at all."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import IO

from data.regular import refuse_irregular

PARTIAL = ".partial"
"""How the name of a file ends that is still being written; what a killed process left under it may be removed."""


@contextmanager
def whole_file(path: str | Path, *, settled: bool = True) -> Iterator[IO[bytes]]:
    """`path` opened for writing: when the block ends its bytes reach the disk, then the name appears, over an older
    file of that name. After an error the older file is as it was. The folder is made where it is missing.

    settled: the name has reached the disk as well; otherwise a loss of power may bring the older file back.
    Raises OSError as `open` and `write` do, and for a device, a pipe or a socket in its place; it names `path`.
    """
    path = Path(path)
    refuse_irregular(path)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        with made_folder(path.parent), _removed_after_an_error(partial):
            with partial.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename in (None, str(partial)):
            error.filename = str(path)
        raise
    if settled:
        settle(path.parent)


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """`folder` is made where it is missing; after an error in the block what was made goes again, if it is empty.

    Raises OSError where it can not be made.
    """
    missing = list(takewhile(lambda place: not place.exists(), (folder, *folder.parents)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # another put something there
            for place in missing:
                place.rmdir()
        raise


@contextmanager
def _removed_after_an_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def write_whole(path: str | Path, content: bytes | str, *, settled: bool = True) -> None:
    """Write a file in one go; text as UTF-8. See `whole_file`."""
    with whole_file(path, settled=settled) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def settle(folder: Path) -> None:
    """Let the names of a folder reach the disk, where the system can do that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)
