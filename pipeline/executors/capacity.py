"""How many worker processes this machine carries."""

import os

import psutil

WORKER_BYTES = 800_000_000
"""What one worker takes at most: Python, the libraries of the heaviest stage, an image of some megapixels."""


def carried(wanted: int, cores: int | None = None, memory: int | None = None) -> tuple[int, str]:
    """(workers to start, why not as many as `wanted`, or "").

    cores, memory: of this machine (default: those this process may use, and the bytes that are free). More workers than
    cores only wait for each other; more than memory carries are killed and started again for ever.
    """
    cores = len(os.sched_getaffinity(0)) if cores is None else cores
    memory = psutil.virtual_memory().available if memory is None else memory
    by_memory = max(1, memory // WORKER_BYTES)
    most = min(max(1, cores), by_memory)
    if wanted <= most:
        return wanted, ""
    if by_memory < cores:
        return most, f"{memory / 1e9:.1f} GB of memory carry {most} of {WORKER_BYTES / 1e9:.1f} GB each"
    return most, f"there are {cores} cores"
