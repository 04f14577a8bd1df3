"""Several processes, one model each: started by torchrun, joined by gloo on CPUs and by nccl on CUDA devices.

Gradients are summed after the last accumulation step instead of by DistributedDataParallel: a step runs any number of
backward passes, some parameters get no gradient from some images, and the flag that blocks an update travels along.
The sum goes by a fixed tree (`tree_sum`), so 1, 2, 4 … processes come to the same bits.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from data.errors import InputError

T = TypeVar("T")
BUCKET_ELEMENTS = 16 * 1024 * 1024


@dataclass(frozen=True)
class World:
    """This process among the others. rank: 0-based; size: number of processes; device: where this one computes."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Add the tensors of all processes, in place, as `tree_sum` of the processes in order; all have one dtype.

        Each process gets its part of the tensors from all others, sums it and gives it to all: the traffic of a ring's
        all-reduce, whose order of summation depends on the place.
        """
        if self.size == 1:
            return
        for bucket in _buckets(tensors):
            lengths = [tensor.numel() for tensor in bucket]
            own = -(-sum(lengths) // self.size)
            padding = bucket[0].new_zeros(own * self.size - sum(lengths))
            flat = torch.cat([*(tensor.reshape(-1) for tensor in bucket), padding])
            parts = torch.empty_like(flat)
            dist.all_to_all_single(parts, flat)
            dist.all_gather_into_tensor(flat, tree_sum(parts.split(own)))
            for tensor, part in zip(bucket, flat.split([*lengths, len(padding)]), strict=False):
                tensor.copy_(part.view_as(tensor))

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the tensors of the first, in place."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process. Synchronises."""
        return any(self.gather(flag))

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in order of rank. Synchronises: for log messages only."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


def tree_sum(parts: Sequence[Tensor]) -> Tensor:
    """The sum of both halves' sums; of an odd number of parts, one after the other. With a number of images that 2^k
    divides, 2^k processes hold whole branches of the tree that a single one sums (`pdsl.train.gradients`)."""
    if len(parts) % 2 == 0:
        half = len(parts) // 2
        return tree_sum(parts[:half]) + tree_sum(parts[half:])
    return sum(parts[1:], parts[0])


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """Join the processes that torchrun started (its environment variables say so), or be alone.

    device: "auto", "cpu" or "cuda"; each process of one machine takes the CUDA device of its local rank.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    chosen = _choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if size > 1:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", rank=rank, world_size=size)
    try:
        yield World(rank, size, chosen)
    finally:
        if size > 1:
            dist.destroy_process_group()


def _choose_device(device: str, local_rank: int) -> torch.device:
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device: cuda was asked for, but torch finds no CUDA device; use device=cpu or device=auto")
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    count = torch.cuda.device_count()
    if local_rank >= count:
        raise InputError(f"torchrun: local rank {local_rank} has no CUDA device, there are {count}; start {count}")
    return torch.device("cuda", local_rank)


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Group small tensors so that each transfer is worth its start; large ones travel alone."""
    small: list[Tensor] = []
    filled = 0
    for tensor in tensors:
        if tensor.numel() >= BUCKET_ELEMENTS:
            yield [tensor]
            continue
        if filled + tensor.numel() > BUCKET_ELEMENTS:
            yield small
            small, filled = [], 0
        small.append(tensor)
        filled += tensor.numel()
    if small:
        yield small
