"""What became of images, added up: of a shard, of a run, of all that a stage has."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from heapq import nlargest

from store.completion import UPSTREAM, ImageOutcome
from store.layout import DONE
from store.outcomes import ShardOutcome

FEW = 10
"""Failed images that a tally knows by name; `store.status.failed_images` knows all."""


@dataclass(frozen=True)
class Tally:
    """Numbers of images: done; failed by themselves; upstream: failed because their upstream stage had.

    reasons: how often each reason of `failed` occurs. failures: (id, reason) of the first FEW of them.
    seconds: work of the images done. bytes: of recorded objects. slowest: (id, seconds) of the FEW that took longest,
    of those computed in this run. host: of a single shard computed in this run, the worker that did. retries: requests
    to storage that were made again meanwhile, in this run.
    """

    done: int = 0
    failed: int = 0
    upstream: int = 0
    seconds: float = 0.0
    bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    failures: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    slowest: tuple[tuple[str, float], ...] = field(default=(), compare=False)
    host: str = field(default="", compare=False)
    retries: int = field(default=0, compare=False)

    @classmethod
    def of(cls, outcomes: Iterable[ImageOutcome], host: str = "", retries: int = 0) -> "Tally":
        """Of single images."""
        images = list(outcomes)
        seconds = [image.seconds for image in images if image.status == DONE]
        reasons = Counter(image.reason for image in images if image.status != DONE)
        upstream = reasons.pop(UPSTREAM, 0)
        own = tuple((image.id, image.reason) for image in images if image.failed_by_itself)
        slowest = longest((image.id, image.seconds) for image in images)
        counts = len(seconds), reasons.total(), upstream, sum(seconds)
        return cls(*counts, reasons=reasons, failures=own[:FEW], slowest=slowest, host=host, retries=retries)

    @classmethod
    def of_shards(cls, shards: Iterable[ShardOutcome], *, without: Collection[int] = ()) -> "Tally":
        """Of whole shards: their images and the bytes of their objects. without: rows of undone images that are not
        counted."""
        done = failed = upstream = size = 0
        seconds, reasons = 0.0, Counter[str]()
        failures: list[tuple[str, str]] = []
        for shard in shards:
            done += shard.images - len(shard.undone)
            seconds += shard.seconds
            size += shard.bytes
            for row, image in shard.undone.items():
                if row in without:
                    continue
                if image.failed_by_itself:
                    failed += 1
                    reasons[image.reason] += 1
                    failures += [(image.id, image.reason)] if len(failures) < FEW else []
                else:
                    upstream += 1
        return cls(done, failed, upstream, seconds, size, reasons, tuple(failures))

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.done + other.done,
            self.failed + other.failed,
            self.upstream + other.upstream,
            self.seconds + other.seconds,
            self.bytes + other.bytes,
            self.reasons + other.reasons,
            (self.failures + other.failures)[:FEW],
            longest((*self.slowest, *other.slowest)),
            retries=self.retries + other.retries,
        )

    @property
    def images(self) -> int:
        """All that have an outcome."""
        return self.done + self.failed + self.upstream


def longest(images: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """The FEW of (id, seconds) that took longest, the longest first."""
    return tuple(nlargest(FEW, images, key=lambda image: image[1]))
