"""Many real worker processes on this machine: do all of them take part, what do they cost, and what if half are killed?

    python -m benchmarks.many_workers [--workers 16 --workers 32 --workers 64] [--shards 10] [--folder DIR]

The work is to wait 20 ms an image, so that cores are no limit; shards are small, eight images each, as it is the
scheduler that is looked at. Each number of workers is a process of its own: client, scheduler and nannies. Two runs:
one undisturbed; in the other half of the workers, drawn at random, get SIGKILL when a third of the shards is there.
A line of JSON for each: seconds until all workers are there ("started"), from then to the first shard ("first") and of
the run; how many workers took part; milliseconds of the client's core a shard, MB of client ("own") and workers;
shards begun more than once ("again"), those of them that were whole before ("recorded"); whether both stores are equal.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import click

from benchmarks.engine.toy import chunk_bytes, first_stage, image_list
from benchmarks.engine.watched import Watched
from pipeline.executors.dask import DaskExecutor
from pipeline.executors.local import local_executor
from pipeline.listener import Listener
from pipeline.runner import RunSummary, run_stage
from store.create import create_or_open
from store.store import Store
from store.tally import Tally

SHARD, SECONDS = 8, 0.02


class FirstResult(Listener):
    """Notes when the first shard was written."""

    def __init__(self) -> None:
        self.began, self.at = time.perf_counter(), 0.0

    def advance(self, computed: Tally, workers: int) -> None:
        self.at = self.at or time.perf_counter() - self.began


def records(store: Store) -> set[int]:
    """Shards that are whole."""
    return {int(path.name.partition("-")[0]) // SHARD for path in Path(store.url, "toy/records").glob("*-*.json")}


class Killer(threading.Thread):
    """Ends half of the workers when a third of the shards is there."""

    def __init__(self, store: Store, pids: list[int]) -> None:
        super().__init__(daemon=True)
        self._store, self.doomed = store, random.Random(0).sample(pids, len(pids) // 2)
        self.whole: set[int] = set()

    def run(self) -> None:
        while len(self.whole) < self._store.n_shards / 3:
            time.sleep(0.1)
            self.whole = records(self._store)
        for pid in self.doomed:
            os.kill(pid, signal.SIGKILL)


def run(
    url: str, shards: int, executor: DaskExecutor, log: str = "", kill: list[int] | None = None
) -> tuple[RunSummary, dict[str, object]]:
    """A stage by an executor's workers; of a run with kills, what was done twice."""
    images = image_list(SHARD * shards)
    store, listener = create_or_open(url, images, shard=SHARD), FirstResult()
    killer = Killer(store, kill or [])
    if kill:
        killer.start()
    summary = run_stage(store, images, first_stage(seconds=SECONDS, log=log), executor, listener=listener)
    told: dict[str, object] = {"first": round(listener.at, 1), "run": round(summary.seconds, 1)}
    if kill:
        begun = Counter(int(line[2:]) // SHARD for line in Path(log).read_text().split() if int(line[2:]) % SHARD == 0)
        again = {shard for shard, times in begun.items() if times > 1}
        told |= {"killed": len(kill) // 2, "again": len(again), "recorded": len(again & killer.whole)}
    return summary, told


def measured(n: int, shards: int, folder: Path) -> dict[str, object]:
    """Both runs with n workers."""
    began = time.perf_counter()
    with closing(local_executor(n)) as executor:
        while executor.workers < n:
            time.sleep(0.2)
        started = time.perf_counter() - began
        before = time.process_time()
        summary, told = run(str(folder / "whole.zarr"), shards, executor)
        spent = time.process_time() - before
        pids = list(executor._client.run(os.getpid).values())
        _, killed = run(str(folder / "killed.zarr"), shards, executor, str(folder / "log"), pids)
    return {
        **{"workers": n, "started": round(started, 1), **told, "shards": shards, "took part": len(summary.workers)},
        **{"client": round(1e3 * spent / shards, 1), "killed run": killed["run"]},
        **{name: killed[name] for name in ("killed", "again", "recorded")},
        "equal": chunk_bytes(folder / "whole.zarr") == chunk_bytes(folder / "killed.zarr"),
    }


@click.command()
@click.option("--workers", multiple=True, type=int, default=(16, 32, 64), show_default=True)
@click.option("--shards", default=10, show_default=True, help="For each worker.")
@click.option("--folder", type=click.Path(file_okay=False), help="Where the stores go.  [default: a temporary folder]")
@click.option("--one", is_flag=True, hidden=True)
def main(workers: tuple[int, ...], shards: int, folder: str | None, one: bool) -> None:
    """Measure each number of workers."""
    for n in workers:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            if one:
                print(json.dumps(measured(n, shards * n, Path(place))), flush=True)
                continue
            asked = ["--one", "--workers", str(n), "--shards", str(shards), "--folder", place]
            command = [sys.executable, "-m", "benchmarks.many_workers", *asked]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, Watched(process.pid) as seen:
                said = process.communicate()[0]
            if process.returncode:
                raise click.ClickException(f"{n} workers: status {process.returncode}")
            memory = {"own": seen.own // 10**6, "together": seen.together // 10**6}
            print(json.dumps(json.loads(said.splitlines()[-1]) | memory), flush=True)


if __name__ == "__main__":
    main()
