"""How many worker processes this machine carries."""

import contextlib
import os
import resource
from pathlib import Path

import psutil

_LIMITS = (
    ("memory.max", "memory.current"),  # cgroup v2
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),  # v1
)
_CGROUPS = Path("/sys/fs/cgroup")
FILES_BESIDE, FILES_EACH = 40, 12
"""What the client of local workers holds open: sockets and pipes to each of them, and what else it needs."""


def carried(
    wanted: int, need: int, cores: int | None = None, memory: int | None = None, files: int | None = None
) -> tuple[int, str]:
    """(workers to start, why not as many as `wanted`, or "").

    need: bytes that a worker takes at most (`Stage.memory`). cores, memory, files: of this machine (default: those this
    process may use, the bytes that are free, the files that it may have open). More workers than cores only wait for
    each other; more than memory carries are killed and started again for ever; of more than there are files for,
    some never come.
    """
    cores = max(1, len(os.sched_getaffinity(0)) if cores is None else cores)
    memory = free_memory() if memory is None else memory
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if files is None else files
    by_memory, by_files = max(1, memory // need), max(1, (files - FILES_BESIDE) // FILES_EACH)
    if files == resource.RLIM_INFINITY:
        by_files = wanted
    most = min(cores, by_memory, by_files)
    if wanted <= most:
        return wanted, ""
    if by_memory == most < cores:
        return most, f"{memory / 1e9:.1f} GB of memory carry {most} of {need / 1e9:.1f} GB each"
    if by_files == most < cores:
        return most, f"{files} open files (ulimit -n) carry {most}"
    return most, f"there are {cores} cores"


def allow_files(workers: int) -> None:
    """Let this process have as many files open as `workers` take, where its limit may be raised so far."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FILES_BESIDE + FILES_EACH * workers
    if soft != resource.RLIM_INFINITY and soft < needed:
        reach = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (reach, hard))


def free_memory() -> int:
    """Bytes that this process and its children may still take: the machine's, or what a container or a batch job has
    left of its limit."""
    free = int(psutil.virtual_memory().available)
    for group in _own_groups():
        for limit, used in _LIMITS:
            with contextlib.suppress(OSError, ValueError):  # "max" is no number: there is no limit
                left = int((group / limit).read_text()) - int((group / used).read_text())
                free = min(free, max(0, left))
    return free


def _own_groups() -> list[Path]:
    """Folders of the control groups that this process is in; inside a container they are the roots."""
    found = [_CGROUPS, _CGROUPS / "memory"]
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                found.append(_CGROUPS / controllers / path.lstrip("/"))
    return found
