"""Ways to run the shards of a stage: the same plan, the same bytes."""

from collections import Counter
from collections.abc import Generator, Iterable
from typing import Protocol

from pipeline.listener import AtWork
from pipeline.task import Job, ShardTask
from store.tally import Tally


class Executor(Protocol):
    """Runs shard tasks somewhere.

    needs_shared_storage: whether the store must be visible to other processes.
    """

    @property
    def needs_shared_storage(self) -> bool:
        """See the class."""

    @property
    def workers(self) -> int:
        """Processes at work now."""

    def run(self, job: Job, tasks: Iterable[ShardTask], at_work: AtWork) -> Generator[Tally, None, None]:
        """The tally of each shard computed, in any order; `at_work` hears of images before. `tasks` is consumed as
        workers become free; closing the iterator drops what is left."""

    def ends(self) -> Counter[str]:
        """How workers ended so far, in words with their host, and how often: their shards were tried again."""

    def close(self) -> None:
        """Give processes and machines back."""
