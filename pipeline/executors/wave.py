"""The tasks of a run that are in the hands of Dask, and what is heard of them."""

import contextlib
import pickle
import queue
from dataclasses import replace

from distributed import Client, Future, KilledWorker, wait

from pipeline.executors.worker import STUCK, Stuck, Told, probe_task, run_task
from pipeline.listener import AtWork
from pipeline.task import Job, ShardTask
from pipeline.time_limit import TOO_LONG
from pipeline.versions import Versions

TELL_SECONDS = 0.5
"""Between two messages of a worker on single images, if there are few; of many all together send TOLD_A_SECOND."""
TOLD_A_SECOND = 50


class Wave:
    """The tasks handed out and not yet back, and what their workers tell of single images meanwhile."""

    def __init__(self, client: Client, job: Job, versions: Versions | None, at_work: AtWork) -> None:
        self._client = client
        self._payload = pickle.dumps((job, versions))
        self._name = f"{job.stage.name}-{job.run[:8]}"
        self.running: dict[Future, ShardTask] = {}
        self.finished: queue.SimpleQueue[Future | Stuck] = queue.SimpleQueue()
        self._at_work = at_work
        self._image_timeout = job.image_timeout
        client.subscribe_topic(self._name, self._told)
        client.subscribe_topic(STUCK.format(name=self._name), lambda event: self.finished.put(Stuck(*event[1])))

    def _told(self, event: tuple[float, tuple[int, int, int]]) -> None:
        """A worker says how far it is with a shard. Of one that is back meanwhile, or is tried again, nobody asks."""
        first, images, failed = event[1]
        if any(task.first == first for task in list(self.running.values())):
            self._at_work.saw(first, images, failed)

    def taken(self, future: Future) -> ShardTask:
        """The task of a future that has finished."""
        task = self.running.pop(future)
        self._at_work.written(task.first)
        return task

    def end(self) -> None:
        """Nothing more is to be heard."""
        with contextlib.suppress(Exception):
            self._client.unsubscribe_topic(self._name)
            self._client.unsubscribe_topic(STUCK.format(name=self._name))

    def give_up(self, stuck: Stuck, workers: int) -> None:
        """Hand out a shard again without the image that its worker is stuck at: that worker ends by itself."""
        reason = TOO_LONG.format(seconds=self._image_timeout)
        for future, task in list(self.running.items()):
            if task.first == stuck.first and stuck.row not in task.condemned:
                del self.running[future]
                self._at_work.written(task.first)
                self._client.cancel([future], force=True)
                self.submit(replace(task, condemned={**task.condemned, stuck.row: reason}), workers)

    def submit(self, task: ShardTask, workers: int) -> None:
        """Hand out a task; `workers` there are to tell of theirs meanwhile."""
        key = f"{self._name}-{task.first}" + ("-again" if task.probed else "")
        key += f"-without-{len(task.condemned)}" if task.condemned else ""
        told = Told(self._name, max(TELL_SECONDS, workers / TOLD_A_SECOND))
        future = self._client.submit(run_task, self._payload, task, told, key=key, pure=False)
        self.running[future] = task
        future.add_done_callback(self.finished.put)

    def at_work_with(self, task: ShardTask, error: KilledWorker) -> ShardTask:
        """What the last worker of a lost task was at: of those that were lost with it the one handed out first. The
        others only waited there."""
        lost = [task]
        for future, other in self.running.items():
            reason = future.exception() if future.status == "error" else None
            if isinstance(reason, KilledWorker) and reason.last_worker.address == error.last_worker.address:
                lost.append(other)
        return min(lost, key=lambda one: (one.probed, one.first))

    def settle(self) -> None:
        """Wait until all that was handed out is done, well or not."""
        if self.running:
            wait(list(self.running))

    def probe(self, task: ShardTask, row: int) -> None:
        """Compute one image and drop the result. Raises what became of it."""
        self._client.submit(probe_task, self._payload, task, row, pure=False).result()
