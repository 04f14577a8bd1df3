"""Several processes, one model each: started by torchrun, joined by gloo on CPUs and by nccl on CUDA devices.

Gradients are summed after the last accumulation step instead of by DistributedDataParallel: a step runs any number of
backward passes, some parameters get no gradient from some images, and the flag that blocks an update travels along.
"""

import os
from collections.abc import Iterable, Iterator
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
        """Add the tensors of all processes, in place and in a fixed order; all have one dtype."""
        if self.size == 1:
            return
        for bucket in _buckets(tensors):
            if len(bucket) == 1 and bucket[0].is_contiguous():
                dist.all_reduce(bucket[0])
                continue
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            dist.all_reduce(flat)
            for tensor, part in zip(bucket, flat.split([t.numel() for t in bucket]), strict=True):
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
    """Group small tensors so that each transfer is worth its start; large ones travel alone, uncopied."""
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
