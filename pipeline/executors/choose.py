"""Which executor the options ask for, started when there is work."""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING

from data.errors import InputError
from pipeline.executors import Executor
from pipeline.executors.capacity import carried
from pipeline.executors.serial import SerialExecutor
from pipeline.listener import AtWork
from pipeline.spec import WORKER_MEMORY, Stage
from pipeline.task import Job, ShardTask
from store.tally import Tally

if TYPE_CHECKING:
    from pipeline.executors.dask import DaskExecutor


SMALLER = "--set store.shard=N makes a new store's smaller"


class DeferredExecutor:
    """Starts local processes, joins a scheduler or starts a cluster once a stage has something to compute.

    workers: local processes (None: one a core; 0: none, this process does the work), or those to ask of `cluster`; of a
    cluster (least, most) come and go with the work.
    scheduler: address of a running Dask scheduler. cluster: path of a cluster file. announce: told what is started.
    """

    def __init__(
        self,
        *,
        workers: int | tuple[int, int] | None,
        scheduler: str | None,
        cluster: str | None,
        announce: Callable[[str], None] = lambda message: None,
    ) -> None:
        if scheduler and cluster:
            raise InputError("--scheduler and --cluster exclude each other; give one of them")
        if scheduler and workers is not None:
            raise InputError("--workers has no effect on a running --scheduler; leave it out")
        minimum = None
        if isinstance(workers, tuple):
            minimum, workers = workers
            if not cluster:
                raise InputError(
                    f"--workers {minimum}:{workers}: workers of a --cluster come and go; here give one number"
                )
        if workers is not None and workers < 0:
            raise InputError(f"--workers {workers}: expected 0 or more")
        if cluster:  # a mistake in the file shows now, and not when the first stage has something to compute
            from pipeline.executors.cluster import load_cluster_file

            load_cluster_file(cluster, workers, minimum)
        self._workers, self._scheduler, self._cluster = workers, scheduler, cluster
        self._minimum = minimum
        self._executor: Executor | None = None
        self._ended: Counter[str] = Counter()
        self._memory = self._enough_for = 0
        self._announce = announce

    @property
    def expected_workers(self) -> int:
        """Workers there will be, as far as is known beforehand."""
        if self._scheduler or self._cluster or self._workers == 0:
            return max(1, self._workers or 1)
        return carried(self._wanted, WORKER_MEMORY)[0]

    @property
    def _wanted(self) -> int:
        return self._workers or len(os.sched_getaffinity(0))

    @property
    def needs_shared_storage(self) -> bool:
        """Whether other processes do the work."""
        return self._workers != 0 or bool(self._scheduler or self._cluster)

    @property
    def workers(self) -> int:
        """Processes at work now."""
        return self._executor.workers if self._executor else 0

    def run(self, job: Job, tasks: Iterable[ShardTask], at_work: AtWork) -> Generator[Tally, None, None]:
        """See `Executor.run`."""
        remaining = iter(tasks)
        few = list(islice(remaining, self._wanted)) if self._is_local else []
        if self._executor is not None and (job.stage.memory > self._memory or len(few) > self._enough_for):
            self.close()  # more workers than carry a stage that needs more memory, or fewer than have something to do
        if self._executor is None:
            self._executor = self._start(job.stage, max(1, len(few)))
        return self._executor.run(job, chain(few, remaining), at_work)

    @property
    def _is_local(self) -> bool:
        """Whether worker processes of this machine do the work."""
        return self.needs_shared_storage and not (self._scheduler or self._cluster)

    def ends(self) -> Counter[str]:
        """See `Executor.ends`; those of executors given back meanwhile as well."""
        return self._ended + (self._executor.ends() if self._executor else Counter())

    def close(self) -> None:
        """Give back what was started."""
        if self._executor is not None:
            self._ended += self._executor.ends()
            self._executor.close()
            self._executor = None

    def _start(self, stage: Stage, tasks: int) -> Executor:
        self._memory = stage.memory
        if not self.needs_shared_storage:
            return SerialExecutor()
        from pipeline.executors import dask

        if self._scheduler:
            executor = dask.scheduler_executor(self._scheduler, self._announce)
        elif self._cluster:
            from pipeline.executors.cluster import cluster_executor

            executor = cluster_executor(self._cluster, self._workers, self._minimum, self._announce)
        else:
            executor = self._start_local(stage, tasks)
        self._announce(f"dashboard: {executor.dashboard}")
        return executor

    def _start_local(self, stage: Stage, tasks: int) -> "DaskExecutor":
        from pipeline.executors.local import local_executor

        started, why = carried(self._wanted, stage.memory)
        self._enough_for = self._wanted
        if tasks < started:
            started = self._enough_for = tasks
            why = f"{tasks} shard{'s' if tasks > 1 else ''} to compute ({SMALLER})"
        if why and (self._workers or started == tasks):
            asked = f"--workers {self._workers}" if self._workers else "local workers"
            self._announce(f"{asked}: starting {started}, {why}")
        return local_executor(started, self._announce)
