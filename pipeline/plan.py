"""Which images of a stage are to be computed: a byte a shard, so that a hundred million images fit in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from data.records import ImageList
from pipeline.task import ShardTask
from store.identity import StageIdentity
from store.layout import DONE, STATUS
from store.outcomes import ShardOutcome
from store.store import Store
from store.tally import Tally


@dataclass
class Plan:
    """The work on shards [first, stop) of a stage.

    whole: (stop - first,) bool, shards that stay as they are. rows: shard -> images to compute in a shard of which the
    others are kept. kept: the outcomes that stay.
    """

    first: int
    stop: int
    whole: np.ndarray
    rows: dict[int, frozenset[int]] = field(default_factory=dict)
    kept: Tally = field(default_factory=Tally)

    def pending(self) -> Iterator[int]:
        """Indexes of shards with work, in order."""
        return (self.first + int(place) for place in np.flatnonzero(~self.whole))

    def images(self, store: Store) -> int:
        """Number of images to compute."""
        bounds = ((index, *store.bounds(index)) for index in self.pending())
        return sum(len(self.rows[i]) if i in self.rows else stop - first for i, first, stop in bounds)

    def tasks(self, store: Store, images: ImageList) -> Iterator[ShardTask]:
        """Shard tasks, made one at a time."""
        for index in self.pending():
            first, stop = store.bounds(index)
            yield ShardTask(first, stop, images.records[first:stop], self.rows.get(index))


def make_plan(
    store: Store,
    identity: StageIdentity,
    shards: tuple[int, int],
    *,
    everything: bool = False,
    retry_failed: bool = False,
    repair: Mapping[int, frozenset[int]] | None = None,
) -> Plan:
    """Read the stage's records among shards [first, stop) and decide.

    everything: compute all of them again. retry_failed: compute failed images again. Images that failed for their
    upstream are computed again as soon as it has them. repair: shard -> images; compute these and nothing else.
    """
    first, stop = shards
    plan = Plan(first, stop, np.zeros(stop - first, bool))
    if repair is not None:
        plan.whole[:] = True
        plan.whole[[index - first for index in repair]] = False
        plan.rows = dict(repair)
    if everything or repair is not None:
        return plan
    kept: list[ShardOutcome] = []
    again: set[int] = set()
    for shard in store.outcomes(identity.group, shards):
        rows = _again(store, identity, shard, retry_failed)
        index = shard.first // store.shard
        if rows:
            plan.rows[index] = rows
            again |= rows
        else:
            plan.whole[index - first] = True
        kept.append(shard)
    plan.kept = Tally.of_shards(kept, without=again)
    return plan


def _again(store: Store, identity: StageIdentity, shard: ShardOutcome, retry_failed: bool) -> frozenset[int]:
    """Images of a whole shard that are to be computed again, or for the first time."""
    added = range(shard.stop, store.bounds(shard.first // store.shard)[1])
    undone = (
        row
        for row, image in shard.undone.items()
        if (retry_failed if image.failed_by_itself else _upstream_ready(store, identity, row))
    )
    return frozenset((*added, *undone))


def _upstream_ready(store: Store, identity: StageIdentity, row: int) -> bool:
    return all(store.read(f"{group}/{STATUS}", row) == DONE for group in identity.upstream)


def part_of(shards: tuple[int, int], part: tuple[int, int] | None) -> tuple[int, int]:
    """Part I of N of shards [first, stop), counted from 1: the parts are disjoint, follow each other and are all of
    them; empty ones if there are fewer shards than parts."""
    if part is None:
        return shards
    (first, stop), (i, n) = shards, part
    return first + (stop - first) * (i - 1) // n, first + (stop - first) * i // n


def widen(image_range: tuple[int, int] | None, store: Store) -> tuple[int, int]:
    """Images [a, b) as whole shards [first, stop)."""
    if image_range is None:
        return 0, store.n_shards
    a, b = image_range
    return a // store.shard, -(-min(b, store.n_images) // store.shard)
