"""Decoded images in the order of training, from loader processes; the order depends on seed and step only."""

import signal
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from data.errors import InputError
from pdsl.cache import CacheReader, RawSample
from pdsl.train.randomness import image_order


class _Order(Sampler[int]):
    """Indices for one process: of each step's images, its share, contiguous."""

    def __init__(self, seed: int, n_images: int, steps: range, images_per_step: int, rank: int, world_size: int):
        self.seed, self.n_images, self.steps = seed, n_images, steps
        self.images_per_step = images_per_step
        self.share = images_per_step // world_size
        self.first = rank * self.share

    def __len__(self) -> int:
        return len(self.steps) * self.share

    def __iter__(self) -> Iterator[int]:
        for step in self.steps:
            start = step * self.images_per_step + self.first
            yield from image_order(self.seed, self.n_images, start, start + self.share)


class _Images(Dataset[RawSample | str]):
    """Samples by index. A failure travels as its message: an exception would arrive wrapped in a worker's traceback."""

    def __init__(self, cache: CacheReader):
        self.cache = cache

    def __getitem__(self, index: int) -> RawSample | str:
        try:
            return self.cache.read(index)
        except InputError as error:
            return str(error)


def batches(
    cache: CacheReader,
    *,
    seed: int,
    steps: range,
    images_per_step: int,
    rank: int,
    world_size: int,
    loaders: int,
    pin: bool,
) -> Iterator[list[RawSample]]:
    """One list for each step: the samples of this process. Raises InputError if an image cannot be read."""
    share = images_per_step // world_size
    loader = DataLoader(
        _Images(cache),
        sampler=_Order(seed, len(cache), steps, images_per_step, rank, world_size),
        batch_size=None,
        collate_fn=_unchanged,
        num_workers=loaders,
        prefetch_factor=max(2, 2 * share // loaders) if loaders else None,
        pin_memory=pin,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # or it would draw from the global one
    )
    batch = []
    for sample in loader:
        if isinstance(sample, str):
            raise InputError(sample)
        batch.append(sample)
        if len(batch) == share:
            yield batch
            batch = []


def _unchanged(sample: Any) -> Any:
    return sample


def _start_worker(_: int) -> None:
    """One thread a loader; signals, which often reach the whole group, are the business of the process that trains."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
