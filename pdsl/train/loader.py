"""Decoded images in the order of training, from loader processes; the order depends on seed and step only."""

import signal
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from data.errors import InputError
from pdsl.cache import CacheReader
from pdsl.raw_sample import RawSample
from pdsl.train.randomness import image_order


class _Order(Sampler[list[int]]):
    """Indices for one process: of each step's images, its share, contiguous; so many `together` as are read at once."""

    def __init__(
        self, seed: int, n_images: int, steps: range, images_per_step: int, rank: int, world_size: int, together: int
    ):
        self.seed, self.n_images, self.steps = seed, n_images, steps
        self.images_per_step = images_per_step
        self.share = images_per_step // world_size
        self.first = rank * self.share
        self.together = together

    def __len__(self) -> int:
        return -(-len(self.steps) * self.share // self.together)

    def __iter__(self) -> Iterator[list[int]]:
        starts = (step * self.images_per_step + self.first for step in self.steps)
        each = (image_order(self.seed, self.n_images, start, start + self.share) for start in starts)
        indexes = chain.from_iterable(each)
        while group := list(islice(indexes, self.together)):
            yield group


class _Images(Dataset[list[RawSample | str]]):
    """Samples by indices. A failure travels as its message: an exception would arrive wrapped in a worker's
    traceback."""

    def __init__(self, cache: CacheReader):
        self.cache = cache

    def __getitem__(self, indexes: list[int]) -> list[RawSample | str]:
        try:
            return [*self.cache.read_together(indexes)]
        except InputError:  # of one of them: those before it are trained on
            return [self._one(index) for index in indexes]

    def _one(self, index: int) -> RawSample | str:
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
    together: int = 1,
) -> Iterator[list[RawSample]]:
    """One list for each step: the samples of this process. Raises InputError if an image cannot be read.

    together: images that are read at a time where an object store holds some of what is read.
    """
    share = images_per_step // world_size
    group = together if cache.is_remote() else 1
    loader = DataLoader(
        _Images(cache),
        sampler=_Order(seed, len(cache), steps, images_per_step, rank, world_size, group),
        batch_size=None,
        collate_fn=_unchanged,
        num_workers=loaders,
        prefetch_factor=max(2, 2 * share // (loaders * group)) if loaders else None,
        pin_memory=pin,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # or it would draw from the global one
    )
    batch = []
    for sample in chain.from_iterable(loader):
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
