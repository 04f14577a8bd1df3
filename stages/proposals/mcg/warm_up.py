"""Compile the loops once per machine, not once per worker.

numba keeps compiled code on disk (`stages/compiled.py`). Workers that start together would all find it empty and all
compile. `ensure_compiled` lets the first one do it while the others wait, without using their core. To do it ahead, and
for all stages: `python -m stages.warm_up`.
"""

import fcntl
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from stages.contours import detector_by_name
from stages.proposals.mcg.method import mcg_proposals
from stages.proposals.mcg.params import McgParams

LOCK = "mcg-compile.lock"


@cache
def ensure_compiled() -> None:
    """Run a tiny image through the method, at most once per process, one process at a time."""
    with _exclusive(cache_folder()):
        mcg_proposals(tiny_image(), McgParams(max_proposals=10, masks=True), detector_by_name("gradient"))


def tiny_image() -> np.ndarray:
    """(16, 16, 3) uint8 with a square on a ground, enough for every loop to run."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[4:12, 4:12] = 255
    return image


def cache_folder() -> Path:
    """This user's folder for what programs may make again (XDG); nobody else can put anything there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pdsl"


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold an advisory lock in `folder`; the system releases it if the process dies.

    Where the folder cannot be used it goes on without: then several processes may compile the same."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        _take(handle, folder / LOCK)
        yield
    finally:
        os.close(handle)


def _take(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if multiprocessing.parent_process() is None:  # of several workers one compiles: that is no news
            print(f"waiting for another process to compile the loops (its lock: {path})", file=sys.stderr)
        fcntl.flock(handle, fcntl.LOCK_EX)
