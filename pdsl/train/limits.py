"""What a machine can not carry is refused before it is asked to."""

import math
import os
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np
import psutil
import torch

from data.errors import InputError
from data.parameters import leaves
from pdsl.cache import CacheReader
from pdsl.config.model import ModelConfig
from pdsl.config.tree import Config
from pdsl.model.build import assemble
from pdsl.model.footprint import (
    PeakMemory,
    TooLargeError,
    cause,
    counts_too_far,
    following,
    is_larger,
    refuse_large_weights,
)
from pdsl.structures import Proposals, Sample, Seeds

MOST_PER_CORE = 4
"""Threads and loader processes for each core of this machine: beyond it they only stand in each other's way."""
COPIES = 3
"""Of the images of an update: those that it works on, and those that the loaders have ready."""


COPIES_OF_WEIGHTS = {"sgd": 3, "adamw": 4}
"""Weights, gradients, and the moments of each kind of optimizer."""
MARGINS = {"cpu": 1.5, "cuda": 3.0}
"""So much more than the memory has the estimate of an update to be before it is refused: bfloat16 halves it."""
SIZES = ("model.", "augment.", "data.max_proposals", "optimizer.images_per_pass")
"""The keys that decide what an update takes."""


def refuse_beyond_machine(config: Config, cache: CacheReader, world_size: int, device: torch.device) -> None:
    """Raises InputError for threads, loaders, images of an update or a model beyond what this machine carries, and for
    images that `world_size` processes can not share."""
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
    refuse_large_model(config, cache, world_size, device)


def refuse_large_model(config: Config, cache: CacheReader, world_size: int, device: torch.device) -> None:
    """Raises InputError if the model with all that its training keeps, or an update of average images, needs more than
    the device's memory. An update is looked at only where something is larger than its default."""
    memory = _memory_of(device)
    n_classes = len(cache.class_names)
    copies = 1 if config.model.backbone.freeze == "all" else COPIES_OF_WEIGHTS[config.optimizer.kind]
    refuse_large_weights(config.model, partial(assemble, n_classes=n_classes), copies, memory)
    if not any(is_larger(_at(config, name), _at(Config(), name)) for name in leaves(config) if name.startswith(SIZES)):
        return

    margin = MARGINS[device.type]

    def fits(other: Config) -> bool:
        passing = min(other.optimizer.images_per_pass, max(1, other.optimizer.images_per_step // world_size))
        most = margin * memory / passing
        return update_bytes(other.model, n_classes, partial(_average_sample, other, cache), most) <= most

    if not fits(config):
        raise InputError(
            f"{cause(config, fits, among=SIZES)}: an update takes more than {margin:.1f} times the "
            f"{memory / 1e9:.0f} GB of memory there is; give smaller numbers"
        )


def update_bytes(model: ModelConfig, n_classes: int, sample: Callable[[], Sample], most: float) -> float:
    """Bytes that the passes of one image take at most; infinity if more than `most`, 0 if that can not be followed.

    sample: makes an image on torch's default device.
    """
    peak: PeakMemory | None = None
    try:
        with following(most) as peak:
            (terms,) = assemble(model, n_classes).losses([sample()], [None])
            terms.total().backward()
    except (TooLargeError, RuntimeError, OverflowError, TypeError) as error:
        followed = isinstance(error, TooLargeError) and not (peak and peak.is_too_large)
        return math.inf if counts_too_far(error) and not followed else 0.0
    return peak.peak


def _at(config: Config, name: str) -> Any:
    return attrgetter(name)(config)


def _average_sample(config: Config, cache: CacheReader) -> Sample:
    """An image of average size at the smallest scale, with average numbers of proposals and seeds."""
    height, width = _sizes(cache).mean(0)
    scale = min(min(config.augment.scales) / min(height, width), config.augment.max_side / max(height, width))
    p = min(config.data.max_proposals, _mean([s.counts[s.usable] for s in cache.sources]))
    q = _mean([s.n_seeds[s.usable] for s in cache.sources])
    return Sample(
        image=torch.zeros(3, max(1, round(height * scale)), max(1, round(width * scale))),
        label=torch.ones(len(cache.class_names), dtype=torch.bool),
        proposals=Proposals(torch.zeros(p, 4), torch.zeros(p), torch.ones(p, dtype=torch.bool)),
        seeds=Seeds(
            torch.zeros(q, dtype=torch.int64), torch.zeros(q, 56, 56, dtype=torch.bool), torch.ones(q, dtype=torch.bool)
        ),
        row=0,
        image_id="",
    )


def _sizes(cache: CacheReader) -> np.ndarray:
    """Height and width of the images that can be learnt from: (n, 2)."""
    return np.concatenate([source.images.size_matrix()[source.usable] for source in cache.sources])


def _mean(numbers: list[np.ndarray]) -> int:
    return max(1, round(float(np.concatenate(numbers).mean())))


def _memory_of(device: torch.device) -> int:
    """Bytes of a device: of this machine, or of a graphics card."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total)


def mean_image_bytes(cache: CacheReader) -> float:
    """Bytes of a decoded image of the training set, on average."""
    return 3.0 * float(_sizes(cache).astype(np.float64).prod(1).mean())
