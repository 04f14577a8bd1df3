"""Which images of a stage are to be computed: a byte a shard, so that a hundred million images fit in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from data.records import ImageList
from pipeline.task import ShardTask
from store.completion import UPSTREAM, Completion
from store.identity import StageIdentity
from store.layout import DONE, STATUS
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
    for record in store.records(identity.group, shards):
        _consider(plan, store, identity, record, retry_failed)
    return plan


def _consider(plan: Plan, store: Store, identity: StageIdentity, record: Completion, retry_failed: bool) -> None:
    index = record.first // store.shard
    stop = store.bounds(index)[1]
    again = set(range(record.stop, stop))
    for row, image in enumerate(record.images, record.first):
        upstream = image.reason == UPSTREAM
        if image.status != DONE and (_upstream_ready(store, identity, row) if upstream else retry_failed):
            again.add(row)
    plan.kept += Tally.of(image for row, image in enumerate(record.images, record.first) if row not in again)
    if again:
        plan.rows[index] = frozenset(again)
    else:
        plan.whole[index - plan.first] = True


def _upstream_ready(store: Store, identity: StageIdentity, row: int) -> bool:
    return all(store.read(f"{group}/{STATUS}", row) == DONE for group in identity.upstream)


def widen(image_range: tuple[int, int] | None, store: Store) -> tuple[int, int]:
    """Images [a, b) as whole shards [first, stop)."""
    if image_range is None:
        return 0, store.n_shards
    a, b = image_range
    return a // store.shard, -(-min(b, store.n_images) // store.shard)
