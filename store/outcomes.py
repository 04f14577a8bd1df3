"""What became of a shard's images, without what only `verify` asks of its record."""

from dataclasses import dataclass

import numpy as np

from store.completion import Completion, ImageOutcome
from store.layout import DONE


@dataclass(frozen=True)
class ShardOutcome:
    """Images [first, stop) of a stage, which a completion record says are whole.

    undone: row -> outcome of the images that are not done. seconds: work of those that are, added up. bytes: of the
    shard's objects. host, written: where, and when in seconds since the epoch (0 if not noted). slowest: the id of the
    image that took longest, and its seconds.
    """

    first: int
    stop: int
    undone: dict[int, ImageOutcome]
    seconds: float
    bytes: int
    host: str = ""
    written: float = 0.0
    slowest: tuple[str, float] = ("", 0.0)

    @classmethod
    def of(cls, record: Completion) -> "ShardOutcome":
        """What a record says."""
        slowest = max(record.images, key=lambda image: image.seconds)
        return cls(
            record.first,
            record.stop,
            {row: image for row, image in enumerate(record.images, record.first) if image.status != DONE},
            sum(image.seconds for image in record.images if image.status == DONE),
            sum(written.size for written in record.objects.values()),
            record.host,
            record.written_at(),
            (slowest.id, slowest.seconds),
        )

    @property
    def images(self) -> int:
        """Number of images."""
        return self.stop - self.first

    def statuses(self) -> np.ndarray:
        """(stop - first,) uint8."""
        values = np.full(self.images, DONE, np.uint8)
        for row, image in self.undone.items():
            values[row - self.first] = image.status
        return values
