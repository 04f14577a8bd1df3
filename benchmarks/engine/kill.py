"""Kill -9 of parts of a run at random moments; used by the tests (a few trials) and by benchmarks/engine_kill.py.

As a program, `python -m benchmarks.engine.kill URL LOG [SCHEDULER]` is the run that gets killed.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.engine.hosts import ROOT, cluster
from benchmarks.engine.toy import chunk_bytes, first_stage, image_list
from pipeline.executors.choose import DeferredExecutor
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open
from store.store import open_store
from store.verify import verify_store

IMAGES = image_list(240)
SHARD = 8
SECONDS = 0.06
TARGETS = ("worker", "client", "everything", "nanny", "scheduler-worker", "scheduler-client")
"""The first three: local workers, whose nannies live in the client. The others: `dask scheduler` and `dask worker`."""


@dataclass(frozen=True)
class Trial:
    """One kill: of what, at which part of the measured run time, how many of the shards had their records then."""

    target: str
    moment: float
    recorded: int
    shards: int
    survived: bool
    identical: bool
    leftovers: int
    recomputed: int

    @property
    def good(self) -> bool:
        """Bytes equal, nothing left behind, nothing recorded computed again."""
        return self.identical and not self.leftovers and not self.recomputed

    @property
    def between(self) -> bool:
        """Whether it fell between the first and the last record."""
        return 0 < self.recorded < self.shards


def reference(folder: Path) -> dict[str, bytes]:
    """Array chunks of an uninterrupted serial run."""
    url = folder / "reference.zarr"
    run_stage(create_or_open(str(url), IMAGES, shard=SHARD), IMAGES, first_stage(), SerialExecutor())
    return chunk_bytes(url)


def run_time(folder: Path, target: str) -> float:
    """Seconds from start to end of an undisturbed run."""
    with _parts(folder, target) as address:
        started = time.monotonic()
        _start(folder / f"time-{target}.zarr", folder / "time.log", address).wait()
        return time.monotonic() - started


def trial(folder: Path, target: str, moment: float, seconds: float, expected: dict[str, bytes]) -> Trial:
    """Start a run, kill `target` at `moment` (0..1) of `seconds`, run again, compare with `expected`."""
    folder.mkdir()
    url, log = folder / "killed.zarr", folder / "first.log"
    with _parts(folder, target) as address:
        run = _start(url, log, address)
        time.sleep(moment * seconds)
        at_kill = len(_recorded(url))
        _kill(run, target)
        survived = run.wait(timeout=180) == 0
        recorded = _recorded(url)
        done = {record.id for first, stop in recorded for record in IMAGES.records[first:stop]}
        again = folder / "again.log"
        second = _start(url, again, address if target == "scheduler-client" else None)
        if second.wait(timeout=180) != 0:
            raise RuntimeError(f"the second run failed: {(folder / 'again.log.err').read_text()}")
    first_lines = log.read_text().split() if log.exists() else []
    again_lines = again.read_text().split() if again.exists() else []
    twice = len(done & set(again_lines)) if not survived else len(again_lines) + _twice_recorded(first_lines, url)
    whole = not verify_store(open_store(str(url))).damage
    return Trial(
        target,
        round(moment, 3),
        at_kill,
        -(-len(IMAGES) // SHARD),
        survived,
        identical=whole and chunk_bytes(url) == expected,
        leftovers=sum(1 for path in url.rglob("*") if path.suffix == ".partial" or path.name == "lock.json"),
        recomputed=twice,
    )


def _twice_recorded(lines: list[str], url: Path) -> int:
    """In a run that went on by itself only shards at work may be computed twice: one for each lost worker."""
    counts = {record.id: 0 for record in IMAGES.records}
    for line in lines:
        counts[line] += 1
    return max(0, sum(count > 1 for count in counts.values()) - 2 * SHARD)


def _recorded(url: Path) -> list[tuple[int, int]]:
    names = [path.stem.split("-") for path in (url / "toy/records").glob("*.json")]
    return [(int(first), int(stop)) for first, stop in names]


def _start(url: Path, log: Path, address: str | None) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "benchmarks.engine.kill", str(url), str(log), *([address] if address else [])]
    error = log.with_suffix(".log.err").open("wb")
    return subprocess.Popen(command, cwd=ROOT, stdout=error, stderr=error, start_new_session=True)


def _kill(run: "subprocess.Popen[bytes]", target: str) -> None:
    rng = random.Random(run.pid)
    if target == "everything":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
    elif target in ("client", "scheduler-client"):
        run.kill()
    else:
        found = list(_workers(run.pid) if target == "worker" else _cluster(target))
        if found:
            with contextlib.suppress(psutil.NoSuchProcess):
                rng.choice(found).kill()


def _workers(pid: int) -> Iterator[psutil.Process]:
    """Worker processes of a local cluster: children of the process that multiprocessing forks them from."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            if any("forkserver" in word for word in child.cmdline()):
                yield from child.children()


def _cluster(target: str) -> Iterator[psutil.Process]:
    """Nannies (`dask worker`) or their worker processes, among the processes this program started."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            words = child.cmdline()
            nanny = "worker" in words and "dask" in " ".join(words[:3])
            spawned = any("spawn_main" in word for word in words) and "worker" in " ".join(child.parent().cmdline())
            if nanny if target == "nanny" else spawned:
                yield child


@contextmanager
def _parts(folder: Path, target: str) -> Iterator[str | None]:
    """The address of a scheduler with two workers, or None for local ones."""
    if target in ("worker", "client", "everything"):
        yield None
        return
    with cluster(folder) as address:
        yield address


def main(url: str, log: str, scheduler: str | None = None) -> None:
    """The run that is killed."""
    executor = DeferredExecutor(workers=None if scheduler else 2, scheduler=scheduler, cluster=None)
    try:
        store = create_or_open(url, IMAGES, shard=SHARD)
        run_stage(store, IMAGES, first_stage(seconds=SECONDS, log=log), executor)
    finally:
        executor.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
