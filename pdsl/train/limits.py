"""What a machine can not carry is refused before it is asked to."""

import os

import numpy as np
import psutil

from data.errors import InputError
from pdsl.cache import CacheReader
from pdsl.config.tree import Config

MOST_PER_CORE = 4
"""Threads and loader processes for each core of this machine: beyond it they only stand in each other's way."""
COPIES = 3
"""Of the images of an update: those that it works on, and those that the loaders have ready."""


def refuse_beyond_machine(config: Config, cache: CacheReader, world_size: int) -> None:
    """Raises InputError for threads, loaders or images of an update beyond what this machine carries, and for images
    that `world_size` processes can not share."""
    most = MOST_PER_CORE * (os.cpu_count() or 1)
    for field, number in (("threads", config.threads), ("data.loaders", config.data.loaders)):
        if number > most:
            raise InputError(f"{field}: {number} on {most // MOST_PER_CORE} cores; give at most {most}")
    images = config.optimizer.images_per_step
    if images % world_size:
        raise InputError(
            f"optimizer.images_per_step: {images} images can not be shared evenly by {world_size} processes; change "
            "one of the two"
        )
    each, memory = COPIES * mean_image_bytes(cache), psutil.virtual_memory().total
    if images * each > memory / 2:
        raise InputError(
            f"optimizer.images_per_step: {images} images of one update take {images * each / 1e9:.0f} of the machine's "
            f"{memory / 1e9:.0f} GB; give at most {max(1, int(memory / 2 / each))}"
        )


def mean_image_bytes(cache: CacheReader) -> float:
    """Bytes of a decoded image of the training set, on average."""
    sizes = [source.images.records[row].size for source in cache.sources for row in np.flatnonzero(source.usable)]
    return 3.0 * float(np.mean([height * width for height, width in sizes]))
