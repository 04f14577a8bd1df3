"""What each worker process did for a stage: how much, how fast, and when last."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from store.outcomes import ShardOutcome


@dataclass
class WorkerShare:
    """worker: "host:pid". images: it computed; seconds: of its work on those that are done. last: when it wrote its
    last shard, in seconds since the epoch; 0 if that is not known."""

    worker: str
    images: int = 0
    seconds: float = 0.0
    last: float = 0.0

    def add(self, images: int, seconds: float, written: float = 0.0) -> None:
        """One more shard."""
        self.images += images
        self.seconds += seconds
        self.last = max(self.last, written)

    @property
    def host(self) -> str:
        """Its machine."""
        return self.worker.partition(":")[0]

    def plain(self) -> dict[str, Any]:
        """For JSON. images_per_second: while it worked."""
        speed = self.images / self.seconds if self.seconds else None
        return {"worker": self.worker, "images": self.images, "seconds": self.seconds, "images_per_second": speed}


def worker_shares(shards: Iterable[ShardOutcome]) -> list[WorkerShare]:
    """Who computed these shards, the busiest first."""
    found: dict[str, WorkerShare] = {}
    for shard in shards:
        found.setdefault(shard.host, WorkerShare(shard.host)).add(shard.images, shard.seconds, shard.written)
    return sorted(found.values(), key=lambda share: (-share.images, share.worker))


def by_host(workers: Iterable[WorkerShare]) -> dict[str, list[WorkerShare]]:
    """Workers by their machine, in the order in which the machines appear."""
    found: dict[str, list[WorkerShare]] = {}
    for share in workers:
        found.setdefault(share.host, []).append(share)
    return found
