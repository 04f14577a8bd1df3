"""Random numbers of a training run: every draw is a function of (seed, step, image), never of what ran before it."""

from enum import IntEnum
from functools import lru_cache

import numpy as np
import torch


class Purpose(IntEnum):
    """What a stream of random numbers is for; streams of different purposes are independent."""

    ORDER = 0
    AUGMENT = 1
    MODEL = 2
    PICTURES = 3


def derived_seed(purpose: Purpose, *keys: int) -> int:
    """A 63-bit seed from non-negative integers, well mixed (numpy's SeedSequence)."""
    state = np.random.SeedSequence([int(purpose), *keys]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def generator_for(
    purpose: Purpose, seed: int, step: int, image: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """The generator for one image at one step; `image` is its index in the training set."""
    return torch.Generator(device).manual_seed(derived_seed(purpose, seed, step, image))


def image_order(seed: int, n_images: int, start: int, stop: int) -> list[int]:
    """Indices of the images at positions start..stop of the endless sequence of shuffled epochs.

    Position p belongs to epoch p // n_images; each epoch is a permutation of its own. A pure function of its arguments:
    it neither depends on processes nor on where a run was interrupted.
    """
    indices: list[int] = []
    for epoch in range(start // n_images, max(start, stop - 1) // n_images + 1):
        first = max(start - epoch * n_images, 0)
        indices += _shuffle(seed, epoch, n_images)[first : stop - epoch * n_images].tolist()
    return indices


@lru_cache(maxsize=2)
def _shuffle(seed: int, epoch: int, n_images: int) -> np.ndarray:
    return np.random.default_rng(derived_seed(Purpose.ORDER, seed, epoch)).permutation(n_images)
