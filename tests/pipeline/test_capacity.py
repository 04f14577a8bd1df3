"""No more workers than the machine carries; what is said when memory runs out all the same."""

import os
import resource
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import connection, forkserver, popen_fork, popen_forkserver
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.engine.toy import chunk_bytes, first_stage, image_list
from data.errors import InputError
from pipeline.executors import choose, ends, exit_status, local
from pipeline.executors.capacity import allow_files, carried, free_memory
from pipeline.executors.choose import DeferredExecutor
from pipeline.executors.dask import WorkersLostError
from pipeline.executors.ends import CRASH, MEMORY, OTHER, explain
from pipeline.executors.serial import SerialExecutor
from pipeline.listener import AtWork
from pipeline.runner import run_stage
from pipeline.spec import ArraySpec, Stage, StageInput
from store.create import create_or_open

GB = 10**9


@pytest.mark.parametrize(
    ("wanted", "cores", "memory", "files", "started", "why"),
    [
        (2, 2, 24 * GB, 1024, 2, ""),
        (64, 2, 24 * GB, 1024, 2, "there are 2 cores"),
        (64, 64, 16 * GB, 1024, 20, "16.0 GB of memory carry 20 of 0.8 GB each"),
        (8, 64, 100 * GB, 1024, 8, ""),
        (4, 8, GB // 10, 1024, 1, "0.1 GB of memory carry 1 of 0.8 GB each"),
        (64, 64, 100 * GB, 256, 18, "256 open files (ulimit -n) carry 18"),
        (64, 64, 100 * GB, resource.RLIM_INFINITY, 64, ""),
        (2, 2, 24 * GB, 30, 1, "30 open files (ulimit -n) carry 1"),
    ],
)
def test_cores_memory_and_files_are_the_limit(
    wanted: int, cores: int, memory: int, files: int, started: int, why: str
) -> None:
    assert carried(wanted, 800_000_000, cores, memory, files) == (started, why)


def test_the_limit_of_open_files_is_raised_as_far_as_workers_need(monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = 256, 700
    for workers, expected in ((4, []), (32, [(424, hard)]), (64, [(hard, hard)])):
        raised: list[tuple[int, int]] = []
        monkeypatch.setattr(resource, "getrlimit", lambda what: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda what, limits, raised=raised: raised.append(limits))
        allow_files(workers)
        assert raised == expected


def test_the_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pipeline.executors.capacity._own_groups", lambda: [tmp_path])
    everything = free_memory()
    (tmp_path / "memory.current").write_text("100000")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() > everything / 2
    (tmp_path / "memory.max").write_text("3000000\n")
    assert free_memory() == 2_900_000
    (tmp_path / "memory.max").unlink()
    (tmp_path / "memory.limit_in_bytes").write_text("5000")
    (tmp_path / "memory.usage_in_bytes").write_text("6000")
    assert free_memory() == 0


class Started:
    """Stands for local workers."""

    dashboard = "nowhere"

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, job: object, tasks: object, at_work: object) -> int:
        return self.workers

    def ends(self) -> Counter[str]:
        """None."""
        return Counter()

    def close(self) -> None:
        """Nothing."""


def test_it_is_said_and_a_stage_that_needs_more_gets_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "carried", lambda wanted, need: carried(wanted, need, cores=32, memory=24 * GB))
    monkeypatch.setattr(local, "local_executor", lambda workers, announce: Started(workers))
    said: list[str] = []
    executor = DeferredExecutor(workers=64, scheduler=None, cluster=None, announce=said.append)
    assert executor.expected_workers == 24 and not said
    works = [run_with(executor, memory) for memory in (2 * GB, 3 * GB, GB)]
    assert works == [12, 8, 8]
    assert said[::2] == [
        "--workers 64: starting 12, 24.0 GB of memory carry 12 of 2.0 GB each",
        "--workers 64: starting 8, 24.0 GB of memory carry 8 of 3.0 GB each",
    ]
    assert not DeferredExecutor(workers=0, scheduler=None, cluster=None, announce=said.append).needs_shared_storage


def run_with(executor: DeferredExecutor, memory: int, shards: int = 100) -> object:
    from types import SimpleNamespace

    job, tasks = SimpleNamespace(stage=SimpleNamespace(memory=memory)), [None] * shards
    return executor.run(job, tasks, AtWork())  # type: ignore[arg-type]


def test_workers_without_a_shard_are_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later stage that has more to do gets more; it is said why there are few."""
    monkeypatch.setattr(choose, "carried", lambda wanted, need: carried(wanted, need, cores=16, memory=99 * GB))
    monkeypatch.setattr(local, "local_executor", lambda workers, announce: Started(workers))
    said: list[str] = []
    executor = DeferredExecutor(workers=8, scheduler=None, cluster=None, announce=said.append)
    assert [run_with(executor, GB, shards) for shards in (1, 2, 1, 20, 3)] == [1, 2, 2, 8, 8]
    assert said[0] == f"--workers 8: starting 1, 1 shard to compute ({choose.SMALLER})"


def test_a_worker_that_memory_ended_blames_no_image(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's count rises with every kill (a worker that memory really ended: test_memory.py)."""
    kills = iter(range(1, 10_000))
    monkeypatch.setattr(ends, "kernel_kills", lambda: next(kills))
    images, said = image_list(8), []
    store = create_or_open(url, images, shard=4)
    executor = local.local_executor(1, said.append)
    with pytest.raises(WorkersLostError, match=r"memory ran out; no image is blamed .* fewer --workers"):
        run_stage(store, images, first_stage(kill=("im00005",)), executor)
    assert len(said) == 2 and "the system ended it because memory ran out; no image is blamed" in said[0]
    assert store.completion("toy", 1) is None
    summary = run_stage(store, images, first_stage(), SerialExecutor())
    assert summary.tally.done == 8 and not list(Path(url).rglob("*.partial")) and chunk_bytes(Path(url))


@pytest.mark.parametrize(
    ("exit_code", "kills", "limit", "kind", "words"),
    [
        (-signal.SIGKILL, 1, None, MEMORY, "the system ended it because memory ran out"),
        (-signal.SIGKILL, 0, None, OTHER, "it was killed from outside, SIGKILL; of memory the kernel says nothing"),
        (-signal.SIGTERM, 0, 4 * GB, MEMORY, "it went beyond its memory limit of 4.0 GB and Dask ended it"),
        (-signal.SIGKILL, 0, 4 * GB, MEMORY, "it went beyond its memory limit of 4.0 GB and Dask ended it"),
        (-signal.SIGTERM, 0, None, OTHER, "it was ended from outside, SIGTERM"),
        (-signal.SIGSEGV, 0, None, CRASH, "a crash of native code, SIGSEGV"),
        (-signal.SIGSEGV, 3, None, CRASH, "a crash of native code, SIGSEGV"),
        (-signal.SIGABRT, 0, None, CRASH, "a crash of native code, SIGABRT"),
        (1, 2, None, OTHER, "it ended by itself with status 1"),
        (255, 0, None, OTHER, "why is not known: a crash of native code, or out of memory"),
        (None, 0, None, OTHER, "why is not known: a crash of native code, or out of memory"),
    ],
)
def test_what_the_end_of_a_worker_means(
    exit_code: int | None, kills: int, limit: int | None, kind: str, words: str
) -> None:
    end = explain(exit_code, kills, limit)
    assert (end.kind, end.words) == (kind, words)


def read_once_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was, afterwards."""
    for kind in (popen_forkserver, popen_fork):
        monkeypatch.setattr(kind.Popen, "poll", kind.Popen.poll)
    exit_status.read_once()


def test_two_threads_that_ask_at_once_read_the_same_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both see that the status is there before either reads it."""
    both_saw_it, wait = threading.Barrier(2, timeout=30), connection.wait

    def seen_by_both(*given: Any) -> list[Any]:
        ready = wait(*given)
        both_saw_it.wait()
        return ready

    monkeypatch.setattr(connection, "wait", seen_by_both)
    read_once_for_now(monkeypatch)
    process = object.__new__(popen_forkserver.Popen)
    process.returncode = None
    process.sentinel, end = os.pipe()
    forkserver.write_signed(end, -signal.SIGKILL)  # type: ignore[attr-defined]
    os.close(end)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda _: process.poll(), range(2))) == [-signal.SIGKILL] * 2
    os.close(process.sentinel)


def test_the_status_of_a_child_is_read_once_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread has taken it and not yet told; the other, which waits for the child, finds none any more."""
    taken, waitpid = threading.Event(), os.waitpid

    def slowly(pid: int, flag: int) -> tuple[int, int]:
        found = waitpid(pid, flag)
        taken.set()
        time.sleep(0.5)
        return found

    read_once_for_now(monkeypatch)
    process = object.__new__(popen_fork.Popen)
    process.returncode, process.pid = None, os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")
    assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(os, "waitpid", slowly)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(process.poll)
        taken.wait(30)
        second = threads.submit(process.poll, 0)
        assert (first.result(), second.result()) == (-signal.SIGKILL,) * 2


@pytest.mark.parametrize("error", [MemoryError("can not allocate 9 GB"), RuntimeError("std::bad_alloc: out of memory")])
def test_an_allocation_that_fails_is_no_fault_of_the_image(url: str, error: Exception) -> None:
    def starved(given: StageInput) -> dict[str, np.ndarray]:
        raise error

    images = image_list(3)
    stage = Stage("toy", 1, first_stage().params, (ArraySpec("toy/x", (), "int32"),), starved, needs_image=False)
    store = create_or_open(url, images)
    with pytest.raises(InputError, match=r"^im00000: memory does not suffice .*fewer --workers.*max_pixels"):
        run_stage(store, images, stage, SerialExecutor())
    assert store.completion("toy", 0) is None


def test_workers_have_one_thread_and_the_client_keeps_its_own(url: str) -> None:
    """Numerical libraries read their limits as they are loaded, which is before a worker is forked."""
    before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    executor = local.local_executor(1)
    try:
        found = executor._client.submit(_threads).result(timeout=120)
    finally:
        executor.close()
    assert found == (0, "1") and {name: os.environ.get(name) for name in before} == before


def _threads() -> tuple[int, str | None]:
    """Threads that a product of matrices adds to this process."""
    square, before = np.ones((600, 600)), len(list(Path("/proc/self/task").iterdir()))
    for _ in range(3):
        square = square @ square / 600
    return len(list(Path("/proc/self/task").iterdir())) - before, os.environ.get("OMP_NUM_THREADS")
