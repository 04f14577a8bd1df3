"""What a stage will take: images, bytes, hours; from its own records, or measured on a few images."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.records import ImageList
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from pipeline.spec import Stage
from store.completion import read_completions, recorded_shards
from store.create import create_or_open
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


def sampled_costs(
    images: ImageList, names: Sequence[str], build: Callable[[str, Store | None], Stage]
) -> dict[str, UnitCost]:
    """Run the stages `names`, upstream first, on a few images spread over the list, into memory.

    build: (stage name, store holding its upstream) -> stage.
    """
    chosen = np.unique(np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).astype(int))
    few = replace(images, records=tuple(images.records[i] for i in chosen))
    url = f"memory://pdsl-dry-run-{uuid.uuid4().hex}"
    try:
        store = create_or_open(url, few, shard=1)
        found = {}
        for name in names:
            stage = build(name, store)
            run_stage(store, few, stage, SerialExecutor())
            cost = recorded_cost(store, stage.group)
            if cost is not None:
                found[name] = cost
        return found
    finally:
        open_objects(url).delete_tree("")


def readable_bytes(size: float) -> str:
    """ "812 B", "3.4 MB", "1.2 TB" (decimal)."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} PB"
