"""Everything in this process, one shard after the other; the reference for all executors."""

from collections import Counter
from collections.abc import Generator, Iterable
from functools import partial

from pipeline.listener import AtWork
from pipeline.task import Job, ShardTask, prepare_process, run_shard
from store.store import open_store
from store.tally import Tally


class SerialExecutor:
    """Runs shards in the calling process; the only executor for `memory://`."""

    workers = 1
    needs_shared_storage = False

    def run(self, job: Job, tasks: Iterable[ShardTask], at_work: AtWork) -> Generator[Tally, None, None]:
        """The tally of each shard as it is written."""
        prepare_process()
        store = open_store(job.url)
        at_work.staffed(self.workers)
        for task in tasks:
            tally = run_shard(job, task, store, partial(at_work.saw, task.first))
            at_work.written(task.first)
            yield tally

    def ends(self) -> Counter[str]:
        """None: this process is the worker."""
        return Counter()

    def close(self) -> None:
        """Nothing to give back."""
