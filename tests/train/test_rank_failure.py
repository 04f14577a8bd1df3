"""One process of several that fails ends all of them, and says why."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.engine.trainable import make_store

ROOT = Path(__file__).parents[2]


def test_a_process_that_fails_ends_all_with_its_message(config: str, tmp_path: Path) -> None:
    """Each image is read by one of two processes; one was cut short after the stages had seen it."""
    url = make_store(tmp_path)
    (damaged,) = (tmp_path / "data/JPEGImages").glob("train_000004.*")
    damaged.write_bytes(damaged.read_bytes()[:300])
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python", sys.executable]
    command = ["cli.py", "train", "--config", config, "--store", url, "--out", str(tmp_path / "run"), "steps=400"]
    ended = subprocess.run(
        [sys.executable, *launch, *command],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode != 0
    assert "train_000004" in ended.stderr and "restore the file, or give --data" in ended.stderr
    assert not list((tmp_path / "run").rglob("*.tmp*"))
