"""Where a cluster stops to gain by more workers: Dask's scheduler, measured, and 4,096 workers, simulated.

    python -m benchmarks.scheduler_limit [--measure 2 --measure 64] [--task-ms X]

Measured is what a task costs the process of client and scheduler, in seconds of its core, through the executor that a
run uses, with workers that only answer (they share one other process), and what idle workers cost it a second.
Simulated is a run of a stage: that process serves one task after the other and keeps three tasks at each worker, as the
executor does; a worker takes the seconds of its shard's images, each drawn from an exponential distribution around the
stage's mean. Starting the workers, storage and failures are not in it.
"""

import asyncio
import heapq
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass

import click
import numpy as np
from distributed import Client, LocalCluster, Worker

import pipeline.executors.wave as wave_module
from benchmarks.engine.toy import image_list, nothing_stage
from pipeline.executors.dask import IN_FLIGHT_PER_WORKER, DaskExecutor
from pipeline.executors.local import SETTINGS
from pipeline.listener import AtWork
from pipeline.task import Job, ShardTask
from store.tally import Tally

STAGES = {"proposals": 0.36, "iou-graph": 0.05, "grabcut": 0.32}
"""Seconds of a core an image (docs/scale.md)."""
TASKS = 1000


def answer(payload: bytes, task: ShardTask, told: object) -> Tally:
    """In the place of a shard's work."""
    return Tally(done=task.stop - task.first)


async def _answering(address: str, workers: int) -> None:
    """So many workers in this process, until their scheduler is gone."""
    started = [Worker(address, nthreads=1, memory_limit=0, dashboard=False) for _ in range(workers)]
    for first in range(0, workers, 32):
        await asyncio.gather(*started[first : first + 32])
    await asyncio.gather(*(worker.finished() for worker in started))


@dataclass(frozen=True)
class Cost:
    """Seconds of the core of client and scheduler: of a task, and of a second with idle workers."""

    task: float
    idle: float


def measured(workers: int, shard: int = 32) -> Cost:
    """With so many workers."""
    import dask

    dask.config.set(SETTINGS)
    wave_module.run_task = answer  # type: ignore[assignment]
    images = image_list(shard)
    with LocalCluster(n_workers=0, dashboard_address=":0", host="127.0.0.1") as cluster, Client(cluster) as client:
        code = "import asyncio, benchmarks.scheduler_limit as b\n"
        code += f"asyncio.run(b._answering('{cluster.scheduler_address}', {workers}))"
        with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as others:
            client.wait_for_workers(workers, timeout=600)
            executor = DaskExecutor(client, local=True)
            tasks = (ShardTask(k * shard, (k + 1) * shard, images.columns[:shard]) for k in range(TASKS))
            time.sleep(2)
            before, clock = time.process_time(), time.perf_counter()
            time.sleep(10)
            idle = (time.process_time() - before) / (time.perf_counter() - clock)
            before, clock = time.process_time(), time.perf_counter()
            job = Job("measure", "memory://", nothing_stage(), "", {"exif": False, "max_pixels": 1, "grey_bits": 16})
            done = sum(1 for _ in executor.run(job, tasks, AtWork()))
            spent, clock = time.process_time() - before, time.perf_counter() - clock
            others.kill()
    assert done == TASKS
    return Cost((spent - idle * clock) / done, idle)


def simulated(images: int, shard: int, seconds: float, workers: int, task: float, rng: np.random.Generator) -> float:
    """Seconds of a run on the clock."""
    counts = [shard] * (images // shard) + ([images % shard] if images % shard else [])
    lengths = deque((rng.gamma(np.array(counts), seconds)).tolist())
    events: list[tuple[float, int]] = []  # (when a worker ends a task, which)
    free_at = [0.0] * workers  # when a worker is done with what it has
    server = end = 0.0

    def hand_out(worker: int) -> None:
        nonlocal server
        if lengths:
            server += task
            begins = max(server, free_at[worker])
            free_at[worker] = begins + lengths.popleft()
            heapq.heappush(events, (free_at[worker], worker))

    for _ in range(IN_FLIGHT_PER_WORKER):
        for worker in range(workers):
            hand_out(worker)
    while events:
        ended, worker = heapq.heappop(events)
        end = max(end, ended)
        server = max(server, ended)
        hand_out(worker)
    return end


@click.command()
@click.option("--measure", multiple=True, type=int, default=(2, 64), show_default=True, help="Numbers of workers.")
@click.option("--task-ms", type=float, help="Do not measure, take this.")
@click.option("--images", default=10_000_000, show_default=True)
@click.option("--workers", multiple=True, type=int, default=(256, 1024, 4096), show_default=True)
def main(measure: tuple[int, ...], task_ms: float | None, images: int, workers: tuple[int, ...]) -> None:
    """Measure, then simulate."""
    cost = (task_ms or 0) / 1e3
    for count in measure if task_ms is None else ():
        found = measured(count)
        cost = max(cost, found.task)
        print(
            f"{count} workers: {found.task * 1e3:.2f} ms of the core a task, {1 / found.task:.0f} tasks a second; "
            f"idle {found.idle:.3f} of a core",
            flush=True,
        )
    rng = np.random.default_rng(0)
    print(f"{images} images, {cost * 1e3:.2f} ms a task: hours on the clock (share of the workers' time that is work)")
    print(f"{'stage':<12}{'workers':>8}" + "".join(f"{f'shard {s}':>16}" for s in (32, 128, 512, 1024, 4096)))
    for name, seconds in STAGES.items():
        for count in workers:
            row = f"{name:<12}{count:>8}"
            for shard in (32, 128, 512, 1024, 4096):
                clock = simulated(images, shard, seconds, count, cost, rng)
                row += f"{f'{clock / 3600:.2f} ({images * seconds / count / clock:.0%})':>16}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
