"""examples/slurm: the scripts, in a real SLURM of one machine."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from benchmarks.engine.toy import chunk_bytes
from commands import precompute
from data.scenes import write_scenes
from pdsl.run.folder import read_log
from tests.examples.makers import EXAMPLES, ROOT

SCRIPTS = EXAMPLES / "slurm"
SETTINGS = {"proposals": {"max_proposals": 24}, "grabcut": {"seeds": "all"}, "store": {"shard": 2}}

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs inherit the environment: this checkout's code, this environment's programs."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a dozen scenes with a pdsl.yaml, where jobs are submitted."""
    folder = tmp_path / "workspace"
    write_scenes(folder / "scenes", train=12, val=1, side=64)
    (folder / "pdsl.yaml").write_text(
        yaml.safe_dump(
            {
                "data": "voc:scenes",
                "train_split": "train",
                "val_split": "val",
                "stores": {"train": "stores/train.zarr", "val": "stores/val.zarr"},
                "stages": SETTINGS,
            }
        )
    )
    monkeypatch.chdir(folder)
    return folder


def submit(script: str, *options: str, words: tuple[str, ...] = ()) -> str:
    """Submit a script with what this small machine has in the place of what it asks for; the job's number."""
    command = ["sbatch", "--parsable", "--mem=400M", *options, str(SCRIPTS / script), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def told(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def wait_for(there: Callable[[], object], folder: Path, seconds: float = 900) -> None:
    """Until it is so; fails with the jobs' logs."""
    end = time.monotonic() + seconds
    while not there():
        logs = "\n".join(file.read_text() for file in folder.glob("*.log"))
        assert time.monotonic() < end, logs + told("squeue", "-o", "%i %T %r")
        time.sleep(0.3)


def ended() -> bool:
    return not told("squeue", "-h")


def the_same_as_here(folder: Path) -> None:
    for split in ("train", "val"):
        data, local = f"voc:{folder / 'scenes'}", folder.parent / f"{split}.zarr"
        stage = "all" if split == "train" else "proposals"
        wanted = {"data": data, "split": split, "store": str(local), "workers": 0, "settings": SETTINGS}
        assert precompute.run(stage=stage, **wanted) == 0
        assert chunk_bytes(folder / "stores" / f"{split}.zarr") == chunk_bytes(local)


def test_stages_as_an_array(slurm: Path, workspace: Path) -> None:
    """Two workers on this machine's two cores; what waits in the queue leaves it when all is done."""
    job = submit("stages-array.sh", "--array=0-4")
    wait_for(ended, workspace)
    logs = {file.name: file.read_text() for file in workspace.glob("*.log")}
    assert set(logs) >= {f"pdsl-stages-{job}_0.log", f"pdsl-stages-{job}_1.log"}
    assert "Registered to" in logs[f"pdsl-stages-{job}_1.log"], logs
    assert not list(workspace.glob(".dask-*"))
    the_same_as_here(workspace)


def records(folder: Path) -> dict[str, int]:
    """When each completion record was written."""
    return {str(file): file.stat().st_mtime_ns for file in folder.rglob("records/*.json")}


@pytest.mark.parametrize("seed", [1])
def test_stages_as_parts_of_which_half_are_killed(slurm: Path, workspace: Path, seed: int) -> None:
    """On a store that is not there yet, without a scheduler. Half of the elements are killed, running ones and waiting
    ones; the same array again computes what they left, and nothing that was done."""
    job, chosen = submit("stages-parts.sh", "--array=1-6"), random.Random(seed).sample(range(1, 7), 3)
    wait_for(lambda: len(records(workspace)) > 4, workspace)
    killed = [f"{job}_{element}" for element in chosen]
    for words in (["--signal=KILL", "--full"], []):  # the status says whether any of them was over already
        subprocess.run(["scancel", *words, *killed], check=False)
    wait_for(ended, workspace)
    before = records(workspace)
    submit("stages-parts.sh", "--array=1-6")
    wait_for(ended, workspace)
    after = records(workspace)
    assert 0 < len(before) < len(after) and all(after[name] == time for name, time in before.items())
    print(f"killed {killed}: {len(before)} of {len(after)} records were there and stayed")
    assert not list(workspace.rglob("*lock*.json")) and not list(workspace.rglob("*.partial"))
    the_same_as_here(workspace)


def test_stages_through_dask_jobqueue(slurm: Path, workspace: Path) -> None:
    cluster = yaml.safe_load((SCRIPTS / "cluster.yaml").read_text())
    cluster["options"] |= {"queue": "test", "memory": "400MB", "interface": "lo"}
    (workspace / "cluster.yaml").write_text(yaml.safe_dump(cluster))
    submit("stages-dask.sh", words=("--workers", "1"))
    wait_for(ended, workspace)
    the_same_as_here(workspace)
    assert list((workspace / "logs").iterdir())


def test_a_training_whose_time_is_over_and_that_is_requeued(
    slurm: Path, store: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both in one run, two processes: it ends with the weights of a run that nobody disturbed."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PROCESSES", "2")
    changes = ("steps=60", "log_every=1", "checkpoint_every=20")
    words = ("--config", config, "--store", store, "--out", "run", *changes)
    job = submit("train.sh", "--gpus-per-node=0", "--cpus-per-task=2", words=words)
    log = folder / "run" / "log.jsonl"
    wait_for(lambda: len(read_log(log)) > 2, folder)
    told("scancel", "--batch", "--signal=USR1", job)  # as `--signal=B:USR1@300` has SLURM do it
    wait_for(lambda: "Restarts=1" in told("scontrol", "show", "job", job), folder)
    reached = read_log(log)[-1]["step"]
    assert reached < 60 and "SIGTERM: stopping after this update" in (folder / f"pdsl-train-{job}.log").read_text()
    assert torch.load(folder / "run/checkpoints/last.pt", weights_only=True)["step"] == reached
    wait_for(lambda: read_log(log)[-1]["step"] > reached + 1, folder)
    told("scontrol", "requeue", job)
    wait_for(lambda: "Restarts=2" in told("scontrol", "show", "job", job), folder)
    wait_for(ended, folder)
    torchrun = [shutil.which("torchrun"), "--standalone", "--nproc-per-node=2", "-m", "pdsl", "train", *words]
    subprocess.run([*map(str, torchrun), "--out", "undisturbed"], check=True, capture_output=True)
    models = [torch.load(folder / name / "checkpoints/last.pt", weights_only=True) for name in ("run", "undisturbed")]
    assert [model["step"] for model in models] == [60, 60]
    assert all(torch.equal(models[0]["model"][name], x) for name, x in models[1]["model"].items())
