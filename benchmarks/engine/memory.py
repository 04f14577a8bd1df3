"""Workers that really run out of memory: a stage that allocates, and a group of processes with a limit of its own."""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.engine.toy import NoParams, noise
from pipeline.spec import ArraySpec, Stage, StageInput

_ROOT = Path("/sys/fs/cgroup")
_STEP = 16_000_000
_KEPT: list[np.ndarray] = []


@dataclass(frozen=True)
class HungryCompute:
    """hungry: ids that take memory until something ends their process. group: folder of the control group that the
    process joins first. limit: bytes after which a hungry one gives up and says so. crash: ids that end their process
    by a signal of native code. full: bytes that the process grows to at each image, and keeps."""

    hungry: tuple[str, ...]
    group: str | None
    limit: int
    crash: tuple[str, ...] = ()
    full: int = 0

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        image_id = given.record.id
        if image_id in self.hungry:
            if self.group:
                (Path(self.group) / "cgroup.procs").write_text(str(os.getpid()))
            held = []
            while len(held) * _STEP < self.limit:
                held.append(np.ones(_STEP, np.uint8))
                time.sleep(0.02)
            raise AssertionError("nothing ended this process")
        while self.full and psutil.Process().memory_info().rss < self.full:
            _KEPT.append(np.ones(4_000_000, np.uint8))
            time.sleep(0.02)
        if image_id in self.crash:
            os.kill(os.getpid(), signal.SIGSEGV)
        return {"toy/box": noise(image_id, (5, 4))}


def hungry_stage(
    hungry: tuple[str, ...],
    group: str | None = None,
    limit: int = 1_500_000_000,
    crash: tuple[str, ...] = (),
    full: int = 0,
) -> Stage:
    """Stage "toy"; which images are hungry is no part of its identity."""
    compute = HungryCompute(hungry, group, limit, crash, full)
    return Stage("toy", 1, NoParams(), (ArraySpec("toy/box", (5, 4), "float32"),), compute, needs_image=False)


def can_limit_memory() -> bool:
    """Whether this user may make a control group with a limit."""
    try:
        with limited_group(10**9):
            return True
    except OSError:
        return False


@contextmanager
def limited_group(limit: int) -> Iterator[str]:
    """Folder of a new control group whose processes may take `limit` bytes together. Raises OSError where that is not
    allowed."""
    first = (_ROOT / "memory").is_dir()  # version 1 of the interface
    parent = _ROOT / "memory" if first else _ROOT
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == ("memory" if first else "") and (parent / path.lstrip("/")).is_dir():
            parent = parent / path.lstrip("/")
            break
    group = parent / f"pdsl-{uuid.uuid4().hex[:8]}"
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(limit))
        yield str(group)
    finally:
        for _ in range(50):  # its last process may still be ending
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)
