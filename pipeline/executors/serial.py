"""Everything in this process, one shard after the other; the reference for all executors."""

from collections.abc import Generator, Iterable

from pipeline.task import Job, ShardTask, limit_threads, run_shard
from store.store import open_store
from store.tally import Tally


class SerialExecutor:
    """Runs shards in the calling process; the only executor for `memory://`."""

    workers = 1
    needs_shared_storage = False

    def run(self, job: Job, tasks: Iterable[ShardTask]) -> Generator[Tally, None, None]:
        """The tally of each shard as it is written."""
        limit_threads()
        store = open_store(job.url)
        for task in tasks:
            yield run_shard(job, task, store)

    def close(self) -> None:
        """Nothing to give back."""
