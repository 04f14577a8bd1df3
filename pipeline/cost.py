"""What a stage will take: images, bytes, hours; from its own records, or measured on a few images."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.records import ImageList
from pipeline.chain import Build
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.completion import read_completions, recorded_shards
from store.create import create_or_open
from store.identity import group_of
from store.layout import PENDING
from store.storage import open_objects
from store.store import Store
from store.tally import Tally

SAMPLE = 2


@dataclass(frozen=True)
class UnitCost:
    """Cost of one image of a stage: bytes in the store, seconds on one core; measured on `images` images."""

    bytes: float
    seconds: float
    images: int


def recorded_cost(store: Store, group: str, most: int = 256) -> UnitCost | None:
    """From the stage's completion records (at most some hundred shards of them); None if nothing was computed."""
    keys = [key for key, _ in list(recorded_shards(store.objects, group, store.shard).values())[:most]]
    found = Tally.of_records(read_completions(store.objects, keys))
    return UnitCost(found.bytes / found.done, found.seconds / found.done, found.done) if found.done else None


@dataclass(frozen=True)
class Estimate:
    """What a stage will take: number of images to compute, and the cost of one; None where every sample failed."""

    stage: str
    images: int
    cost: UnitCost | None


def estimates(
    store: Store | None, images: ImageList, names: Sequence[str], build: Build, image_range: tuple[int, int] | None
) -> list[Estimate]:
    """For the stages `names`, upstream first, over `images`: from the store's records, or where it (or one of its
    stages) is missing, from a few images run in memory."""
    first, stop = image_range or (0, len(images))
    recorded = {name: recorded_cost(store, group_of(name)) if store is not None else None for name in names}
    sampled = sampled_costs(images, names, build) if None in recorded.values() else {}
    return [Estimate(n, _pending(store, group_of(n), first, stop), recorded[n] or sampled.get(n)) for n in names]


def _pending(store: Store | None, group: str, first: int, stop: int) -> int:
    if store is None or store.identity(group) is None:
        return stop - first
    return int((store.status(group)[first:stop] == PENDING).sum()) + max(0, stop - max(first, len(store)))


def sampled_costs(images: ImageList, names: Sequence[str], build: Build) -> dict[str, UnitCost]:
    """Run the stages `names`, upstream first, on a few images spread over the list, into memory."""
    chosen = np.unique(np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).astype(int))
    few = replace(images, records=tuple(images.records[i] for i in chosen))
    url = f"memory://pdsl-dry-run-{uuid.uuid4().hex}"
    try:
        store = create_or_open(url, few, shard=1)
        found = {}
        for name in names:
            run_stage(store, few, build(name, store), SerialExecutor())
            cost = recorded_cost(store, group_of(name))
            if cost is not None:
                found[name] = cost
        return found
    finally:
        objects = open_objects(url)
        objects.delete_many([key for key, _ in objects.entries("")])


def readable_bytes(size: float) -> str:
    """ "812 B", "3.4 MB", "1.2 TB" (decimal)."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} PB"
