"""How far the stages of a store are."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from store.identity import StageIdentity
from store.lock import Holder, live_locks
from store.outcomes import ShardOutcome
from store.store import Store
from store.tally import Tally, longest
from store.workers import WorkerShare, worker_shares

PATIENCE = 3.0
"""Of shards' times, before a worker that writes nothing is named: it may be stuck, or have ended."""


@dataclass(frozen=True)
class FailedImage:
    """An image that a stage could not compute, and why."""

    image: str
    stage: str
    reason: str


@dataclass
class StageStatus:
    """One stage of a store.

    tally: of its `images` images, those that are done or failed. not_begun: others that the store holds, of a split for
    which nobody asked for this stage. failures: those that failed by themselves.
    stale: why its results no longer hold, or None.
    running: who computes it now, or None. images_per_second, seconds_left: of the run at work now, from the times of
    its records; None where nothing can be said. workers: who computed how much, in the run at work now or, where there
    is none, in all. silent: those of the run at work now that have written nothing for longer than any shard took.
    slowest: (id, seconds) of images, at most one of a shard.
    """

    stage: str
    images: int
    tally: Tally = field(default_factory=Tally)
    stale: str | None = None
    running: str | None = None
    images_per_second: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    failures: list[FailedImage] = field(default_factory=list)
    workers: list[WorkerShare] = field(default_factory=list)
    silent: list[WorkerShare] = field(default_factory=list)
    slowest: tuple[tuple[str, float], ...] = ()
    not_begun: int = 0

    @property
    def pending(self) -> int:
        """Images neither done nor failed."""
        return self.images - self.tally.images

    @property
    def seconds_per_image(self) -> float | None:
        """Mean work of a done image."""
        return self.tally.seconds / self.tally.done if self.tally.done else None

    @property
    def seconds_left(self) -> float | None:
        """At the pace of the run at work now."""
        return self.pending / self.images_per_second if self.images_per_second else None

    def plain(self) -> dict[str, Any]:
        """For JSON; `failed` counts those without their upstream stage as well."""
        return {
            "stage": self.stage,
            "images": self.images,
            "done": self.tally.done,
            "failed": self.tally.failed + self.tally.upstream,
            "upstream": self.tally.upstream,
            "reasons": dict(self.tally.reasons),
            "stale": self.stale,
            "running": self.running,
            "seconds_per_image": self.seconds_per_image,
            "images_per_second": self.images_per_second,
            "seconds_left": self.seconds_left,
            "bytes": self.tally.bytes,
            "parameters": self.parameters,
            "pending": self.pending,
            "not_begun": self.not_begun,
            "workers": [share.plain() for share in self.workers],
            "silent": [share.worker for share in self.silent],
            "slowest": [{"image": image, "seconds": seconds} for image, seconds in self.slowest],
        }


def stage_status(store: Store, group: str) -> StageStatus:
    """Count what became of the images of a stage. Raises InputError for a damaged group."""
    identity = store.identity(group)
    holders = list(live_locks(store.objects, group).values())
    holder = holders[0] if holders else None
    running = f"{holder}{f' and {len(holders) - 1} more' if holders[1:] else ''}" if holder else None
    if identity is None:
        return StageStatus(group, len(store), stale=store.stale(group), running=running)
    recent = _Recent(holder)
    shards = list(recent.watched(store.outcomes(group)))
    tally = Tally.of_shards(shards)
    failures = [failed for shard in shards for failed in _failures(shard, identity)]
    status = StageStatus(identity.stage, len(store), tally, store.stale(group), running, failures=failures)
    status.parameters = dict(identity.params)
    status.slowest = longest(shard.slowest for shard in shards if shard.slowest[0])
    status.workers = worker_shares(recent.shards if holder else shards)
    status.silent = recent.silent(status.workers)
    status.images_per_second = recent.images_per_second()
    return status


def failed_images(store: Store, *groups: str) -> list[FailedImage]:
    """Images that failed by themselves in one of the stages `groups`, upstream first; those that only lack what failed
    before do not stand there again. Raises InputError for a damaged group."""
    identities = [found for group in groups if (found := store.identity(group)) is not None]
    return [failed for one in identities for shard in store.outcomes(one.group) for failed in _failures(shard, one)]


def _failures(shard: ShardOutcome, identity: StageIdentity) -> list[FailedImage]:
    own = (image for image in shard.undone.values() if image.failed_by_itself)
    return [FailedImage(image.id, identity.stage, image.reason) for image in own]


class _Recent:
    """Notes which of the shards that pass by are of the run at work now."""

    def __init__(self, holder: Holder | None) -> None:
        self._holder = holder
        self._images = 0
        self._latest = 0.0
        self.shards: list[ShardOutcome] = []

    def watched(self, shards: Iterable[ShardOutcome]) -> Iterator[ShardOutcome]:
        for shard in shards:
            if self._holder is not None and shard.written >= self._holder.started:
                self._images += shard.images
                self._latest = max(self._latest, shard.written)
                self.shards.append(shard)
            yield shard

    def silent(self, workers: Iterable[WorkerShare]) -> list[WorkerShare]:
        """Workers that have written nothing for PATIENCE times as long as the longest shard took, a minute at least."""
        if self._holder is None:
            return []
        patience = max(60.0, PATIENCE * max((shard.seconds for shard in self.shards), default=0.0))
        return [share for share in workers if time.time() - share.last > patience]

    def images_per_second(self) -> float | None:
        """Over the run so far; None without such records."""
        if self._holder is None or not self._images:
            return None
        return self._images / max(1.0, self._latest - self._holder.started)


def store_status(store: Store) -> list[StageStatus]:
    """Every stage that was begun, upstream before downstream."""
    return [stage_status(store, group) for group in store.groups_in_order(store.groups())]
