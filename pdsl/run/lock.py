"""One training at a time in a run folder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import InputError, system_advice

LOCK = ".lock"


@contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """Hold the lock of a run folder, which is made where it is missing; the system releases it if the process dies.

    Raises InputError where another process holds it, or the folder cannot be written.
    """
    made = not run.exists()
    try:
        run.mkdir(parents=True, exist_ok=True)
        handle = os.open(run / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        advice = system_advice(error) or f"can not be written ({error.strerror}); give --out another folder"
        raise InputError(f"{run}: {advice}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
            raise InputError(
                f"{run}: another training is at work there (process {holder}); wait for it or give --out another folder"
            ) from None
        with contextlib.suppress(OSError):  # the number is for people; a full disk shows where it matters
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
        if made and [path.name for path in run.iterdir()] == [LOCK]:  # nothing came of it: no folder either
            (run / LOCK).unlink()
            run.rmdir()
