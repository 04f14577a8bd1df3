"""What a stage will take: images, bytes, hours; from its own records, or measured on a few images."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from time import monotonic, process_time

import numpy as np

from data.records import ImageList
from pipeline.chain import Build
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from pipeline.spec import Stage
from store.completion import read_completions, recorded_shards
from store.create import create_or_open
from store.identity import group_of
from store.layout import PENDING
from store.outcomes import ShardOutcome
from store.storage import open_objects
from store.store import Store
from store.tally import Tally

SAMPLE = 12
"""Images that a sample has at most; it ends sooner, but not before LEAST, after PATIENCE seconds."""
LEAST = 2
PATIENCE = 30.0
GOLDEN = 0.6180339887


@dataclass(frozen=True)
class UnitCost:
    """Cost of one image of a stage: bytes in the store, seconds of one core, seconds on the clock of one worker.

    Measured on `images` images, of which `share` of the work was done. Records hold the clock's seconds only.
    """

    bytes: float
    core: float
    clock: float
    images: int
    share: float = 1.0


def recorded_cost(store: Store, group: str, most: int = 256) -> UnitCost | None:
    """From the stage's completion records (at most some hundred shards of them); None if nothing was computed."""
    keys = [record.key for record in list(recorded_shards(store.objects, group, store.shard).values())[:most]]
    found = Tally.of_shards(map(ShardOutcome.of, read_completions(store.objects, keys)))
    if not found.done:
        return None
    seconds = found.seconds / found.done
    return UnitCost(found.bytes / found.done, seconds, seconds, found.done)


@dataclass(frozen=True)
class Estimate:
    """What a stage will take: number of images to compute, and the cost of one; None where every sample failed."""

    stage: str
    images: int
    cost: UnitCost | None


def estimates(
    store: Store | None, images: ImageList, names: Sequence[str], build: Build, ranges: Mapping[str, tuple[int, int]]
) -> list[Estimate]:
    """For the stages `names`, upstream first, over `images`, or those [a, b) of them that `ranges` has for a
    stage: from the store's records, or where it (or one of its stages) is missing, from a few images run in memory."""
    within = {name: ranges.get(name, (0, len(images))) for name in names}
    recorded = {name: recorded_cost(store, group_of(name)) if store is not None else None for name in names}
    sampled = sampled_costs(images, names, build) if None in recorded.values() else {}
    return [Estimate(n, _pending(store, group_of(n), *within[n]), recorded[n] or sampled.get(n)) for n in names]


def _pending(store: Store | None, group: str, first: int, stop: int) -> int:
    if store is None or store.identity(group) is None:
        return stop - first
    return int((store.status(group)[first:stop] == PENDING).sum()) + max(0, stop - max(first, len(store)))


def sampled_costs(images: ImageList, names: Sequence[str], build: Build) -> dict[str, UnitCost]:
    """Run the stages `names`, upstream first, on a few images spread over the list, into memory.

    The first image is run twice and its first run does not count: it loads libraries and compiles.
    """
    few = replace(images, records=images.columns.take(np.array(_spread(len(images)))))
    url = f"memory://pdsl-dry-run-{uuid.uuid4().hex}"
    try:
        store = create_or_open(url, few, shard=1)
        stages = []
        for name in names:
            stages.append(build(name, store))
            _measure(store, few, stages[-1], 0)
        started = monotonic()
        found: dict[str, list[UnitCost]] = {name: [] for name in names}
        for row in range(len(few)):
            if row >= LEAST and monotonic() - started > PATIENCE:
                break
            for name, stage in zip(names, stages, strict=True):
                found[name] += _measure(store, few, stage, row)
        return {name: _mean(costs) for name, costs in found.items() if costs}
    finally:
        objects = open_objects(url)
        objects.delete_many([key for key, _ in objects.entries("")])


def _spread(n: int) -> list[int]:
    """At most SAMPLE rows of n, spread over all, in an order of which every beginning is spread as well."""
    rows = np.unique(np.linspace(0, n - 1, min(SAMPLE, n)).astype(int))
    return [int(row) for row in rows[np.argsort(np.arange(len(rows)) * GOLDEN % 1, kind="stable")]]


def _measure(store: Store, images: ImageList, stage: Stage, row: int) -> list[UnitCost]:
    """What one image takes; nothing if it fails. Of a stage that names a part of its work that part is run."""
    run = replace(stage, compute=stage.part) if stage.part else stage
    started = process_time()
    summary = run_stage(store, images, run, SerialExecutor(), repair={row: frozenset({row})})
    core, completion = process_time() - started, store.completion(stage.group, row)
    if not summary.computed.done or completion is None:
        return []
    share = stage.part.share({name: store.read(name, row) for name in stage.reads}) if stage.part else 1.0
    tally = Tally.of_shards([ShardOutcome.of(completion)])
    return [UnitCost(tally.bytes / share, core / share, tally.seconds / share, 1, share)]


def _mean(costs: Sequence[UnitCost]) -> UnitCost:
    """Of costs of one image each."""
    return UnitCost(
        mean(cost.bytes for cost in costs),
        mean(cost.core for cost in costs),
        mean(cost.clock for cost in costs),
        len(costs),
        mean(cost.share for cost in costs),
    )


def readable_bytes(size: float) -> str:
    """ "812 B", "3.4 MB", "1.2 TB" (decimal)."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} PB"
