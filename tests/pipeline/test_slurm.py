"""`--cluster` on a real SLURM of one machine, and the job script it would submit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.engine.toy import chunk_bytes, first_stage, image_list
from data.errors import InputError
from pipeline.executors.choose import DeferredExecutor
from pipeline.executors.cluster import ClusterFile, load_cluster_file, start_cluster
from pipeline.executors.serial import SerialExecutor
from pipeline.listener import Listener
from pipeline.runner import run_stage
from store.create import create_or_open
from store.tally import Tally

ROOT = Path(__file__).resolve().parents[2]


def test_cluster_files(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("kind: slurm\nworkers: 64\noptions: {queue: cpu, cores: 1}\n")
    assert load_cluster_file(str(file)) == ClusterFile("slurm", 64, None, 1, 600.0, {"queue": "cpu", "cores": 1})
    assert load_cluster_file(str(file), 8).workers == 8
    assert load_cluster_file(str(file), 64, 8) == ClusterFile("slurm", 64, 8, 1, 600.0, {"queue": "cpu", "cores": 1})
    for text, message in {
        "kind: slurmm": "kind: 'slurmm' is not one of",
        "worker: 3": "unknown key 'worker'; did you mean 'workers'",
        "workers: 0": "expected 1 <= at_least",
        "- a": "expected a mapping",
        "a: [": "can not be read",
        "wait_seconds: .nan": "wait_seconds: nan is not a finite",
        "workers: 4\nminimum: 5": "minimum 5: expected a number from at_least \\(1\\) to workers",
        "workers: 4\nat_least: 2\nminimum: 1": "minimum 1: expected a number from at_least \\(2\\)",
        "kind: ssh\nworkers: 4\nminimum: 1": "do not come and go",
        "workers: 1e400": "workers: '1e400' is not of type int",
        "kind: ssh\noptions: {hosts: [one]}": None,
    }.items():
        file.write_text(text)
        if message:
            with pytest.raises(InputError, match=message):
                load_cluster_file(str(file))
        else:
            with pytest.raises(InputError, match=r"options\.hosts|asyncssh"):
                start_cluster(load_cluster_file(str(file)), str(file))
    file.write_text("at_least: [1]")
    with pytest.raises(InputError, match=r"at_least: \[1\] is not of type int"):
        load_cluster_file(str(file), 2)
    with pytest.raises(InputError, match="can not be read"):
        load_cluster_file(str(tmp_path / "missing.yaml"))


def test_a_cluster_whose_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(InputError, match=r"c\.yaml: kind slurm needs the package dask-jobqueue: pip install dask-job"):
        start_cluster(ClusterFile("slurm", 1, None, 1, 1.0, {}), "c.yaml")


def test_the_job_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ClusterFile(
        "slurm", 1, None, 1, 60.0, {"queue": "cpu", "walltime": "01:00:00", "log_directory": str(tmp_path)}
    )
    for name, answer in {"sbatch": "Submitted batch job 7", "scancel": ""}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with start_cluster(wanted, "test") as cluster:
        script = cluster.job_script()
    assert "#SBATCH -p cpu" in script and "#SBATCH -t 01:00:00" in script and "--nthreads 1" in script
    assert "export OMP_NUM_THREADS=1" in script and "export OPENCV_FOR_THREADS_NUM=1" in script


def cluster_file(tmp_path: Path, numbers: str) -> str:
    file = tmp_path / "cluster.yaml"
    file.write_text(
        f"kind: slurm\n{numbers}wait_seconds: 120\noptions:\n"
        "  cores: 1\n  memory: 400MB\n  queue: test\n  walltime: '00:10:00'\n  interface: lo\n"
        f"  log_directory: {tmp_path}\n  job_script_prologue: ['export PYTHONPATH={ROOT}']\n"
    )
    return str(file)


def jobs() -> list[str]:
    return subprocess.run(["squeue", "-h", "-o", "%i"], capture_output=True, text=True, check=True).stdout.split()


class Preempting(Listener):
    """Ends a job whenever some more shards are written, as a batch system does that needs its machines."""

    def __init__(self) -> None:
        self.shards = 0
        self.ended: list[str] = []

    def advance(self, computed: Tally, workers: int) -> None:
        self.shards += 1
        if self.shards in (2, 5):
            self.ended.append(jobs()[0])
            subprocess.run(["scancel", "--signal=KILL", "--full", self.ended[-1]], check=True)


@pytest.mark.slow
def test_workers_that_come_and_go(slurm: Path, tmp_path: Path) -> None:
    """Of one worker at least and two at most; jobs that are taken away are asked for again."""
    images, listener = image_list(70), Preempting()
    executor = DeferredExecutor(workers=(1, 2), scheduler=None, cluster=cluster_file(tmp_path, ""))
    store = create_or_open(str(tmp_path / "slurm.zarr"), images, shard=4)
    try:
        summary = run_stage(store, images, first_stage(seconds=0.3), executor, listener=listener)
    finally:
        executor.close()
    assert summary.tally.done == 70 and len(set(listener.ended)) == 2
    local = create_or_open(str(tmp_path / "local.zarr"), images, shard=4)
    run_stage(local, images, first_stage(), SerialExecutor())
    assert chunk_bytes(tmp_path / "slurm.zarr") == chunk_bytes(tmp_path / "local.zarr")


@pytest.mark.slow
def test_a_stage_on_slurm(slurm: Path, tmp_path: Path) -> None:
    images = image_list(70)
    executor = DeferredExecutor(
        workers=None, scheduler=None, cluster=cluster_file(tmp_path, "workers: 2\nat_least: 2\n")
    )
    store = create_or_open(str(tmp_path / "slurm.zarr"), images, shard=8)
    try:
        summary = run_stage(store, images, first_stage(seconds=0.02), executor)
        queue = subprocess.run(["squeue", "-h", "-o", "%T"], capture_output=True, text=True, check=True).stdout.split()
        assert queue == ["RUNNING", "RUNNING"] and executor.workers == 2
    finally:
        executor.close()
    assert summary.tally.done == 70
    local = create_or_open(str(tmp_path / "local.zarr"), images, shard=8)
    run_stage(local, images, first_stage(), SerialExecutor())
    assert chunk_bytes(tmp_path / "slurm.zarr") == chunk_bytes(tmp_path / "local.zarr")
