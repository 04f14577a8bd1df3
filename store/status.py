"""How far the stages of a store are."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from store.completion import UPSTREAM, read_completions, recorded_shards
from store.layout import DONE
from store.lock import live_lock
from store.store import Store


@dataclass
class StageStatus:
    """One stage of a store.

    pending, done, failed: images; upstream: of the failed, those whose upstream stage failed. reasons: of the others.
    stale: why its results no longer hold, or None. running: who computes it now, or None.
    seconds_per_image: mean work of a done image. images_per_second, seconds_left: of the run at work now, from the
    times of its records; None where nothing can be said. bytes: size of the recorded objects.
    """

    stage: str
    images: int
    done: int = 0
    failed: int = 0
    upstream: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    stale: str | None = None
    running: str | None = None
    seconds_per_image: float | None = None
    images_per_second: float | None = None
    seconds_left: float | None = None
    bytes: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        """Images neither done nor failed."""
        return self.images - self.done - self.failed

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "pending": self.pending, "reasons": dict(self.reasons)}


def stage_status(store: Store, group: str) -> StageStatus:
    """Read all records of a stage. Raises InputError for a damaged group."""
    identity = store.identity(group)
    status = StageStatus(identity.stage if identity else group, len(store), stale=store.stale(group))
    holder = live_lock(store.objects, group)
    status.running = str(holder) if holder else None
    if identity is None:
        return status
    status.parameters = dict(identity.params)
    keys = [key for key, _ in recorded_shards(store.objects, group, store.shard).values()]
    seconds = 0.0
    recent: list[tuple[float, int]] = []
    for record in read_completions(store.objects, keys):
        if record.fingerprint != identity.fingerprint:
            continue
        done = record.count_done()
        status.done += done
        status.failed += len(record.images) - done
        for image in record.failures():
            if image.reason == UPSTREAM:
                status.upstream += 1
            else:
                status.reasons[image.reason] += 1
        seconds += sum(image.seconds for image in record.images if image.status == DONE)
        status.bytes += sum(written.size for written in record.objects.values())
        if holder is not None and record.written_at() >= holder.started:
            recent.append((record.written_at(), len(record.images)))
    status.seconds_per_image = seconds / status.done if status.done else None
    if holder is not None and recent:
        elapsed = max(1.0, max(when for when, _ in recent) - holder.started)
        status.images_per_second = sum(images for _, images in recent) / elapsed
        status.seconds_left = status.pending / status.images_per_second
    return status


def store_status(store: Store) -> list[StageStatus]:
    """Every stage that was begun, upstream before downstream."""
    return [stage_status(store, group) for group in store.groups_in_order(store.groups())]
