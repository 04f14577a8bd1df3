"""What a run tells while it goes."""

import threading
from collections.abc import Callable

from store.tally import Tally


class Listener:
    """Hears of a run's course; this one stays silent. Displays derive from it."""

    def begin(self, stage: str, todo: int, kept: Tally) -> None:
        """A stage starts: number of images to compute, and those that are done or failed from before."""

    def advance(self, computed: Tally, workers: int) -> None:
        """A shard was written; `workers` processes are at work."""

    def at_work(self, images: int, failed: int, workers: int) -> None:
        """So many images of shards that are not written yet are done with, `failed` of them without a result;
        `workers` processes are at work. May be called by any thread."""

    def note(self, message: str) -> None:
        """Something the user should read."""

    def end(self) -> None:
        """The stage is over, whether complete or not."""


class AtWork:
    """Images of shards that are not written yet, and who is at work: executors tell of them, from any thread; `tell`
    hears the sums: images, those of them that failed, workers."""

    def __init__(self, tell: Callable[[int, int, int], None] = lambda images, failed, workers: None) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._shards: dict[int, tuple[int, int]] = {}
        self._workers = 0

    def saw(self, first: int, images: int, failed: int) -> None:
        """Of the shard that begins with image `first` so many images are done with."""
        with self._lock:
            self._shards[first] = images, failed
        self._sum_up()

    def written(self, first: int) -> None:
        """That shard is whole, and counted elsewhere from now on."""
        with self._lock:
            self._shards.pop(first, None)

    def staffed(self, workers: int) -> None:
        """So many processes are at work."""
        self._workers = workers
        self._sum_up()

    def _sum_up(self) -> None:
        with self._lock:
            counts = list(self._shards.values())
        self._tell(sum(images for images, _ in counts), sum(failed for _, failed in counts), self._workers)
