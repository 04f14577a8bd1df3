"""Kill -9 and Ctrl-C: what was recorded stays, the rest leaves no trace. benchmarks/engine_kill.py does many trials."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.engine.kill import ROOT, SHARD, TARGETS, reference, run_time, trial
from benchmarks.engine.toy import chunk_bytes


@pytest.mark.parametrize("target", ["client", pytest.param("worker", marks=pytest.mark.slow)])
def test_killed_at_work(tmp_path: Path, target: str) -> None:
    outcome = trial(tmp_path / "trial", target, 0.7, _seconds_to_the_middle(tmp_path), reference(tmp_path))
    assert outcome.good, outcome


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_killed_at_three_moments(tmp_path: Path, target: str) -> None:
    expected, seconds = reference(tmp_path), run_time(tmp_path, target)
    for number, moment in enumerate((0.3, 0.6, 0.9)):
        outcome = trial(tmp_path / f"trial-{number}", target, moment, seconds, expected)
        assert outcome.good, outcome


def _seconds_to_the_middle(folder: Path) -> float:
    """So long that 0.7 of it falls among the records: the time of a whole run, cheaply guessed from half of one."""
    url = folder / "probe.zarr"
    started = time.monotonic()
    run = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.engine.kill", str(url), str(folder / "probe.log")],
        cwd=ROOT,
        start_new_session=True,
    )
    while run.poll() is None and len(list((url / "toy/records").glob("*.json"))) < 8:
        time.sleep(0.05)
    seconds = time.monotonic() - started
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    return seconds / 0.7


def test_ctrl_c_drops_the_shards_at_work_and_goes_on_later(tmp_path: Path) -> None:
    """SIGINT to the whole process group, as a terminal sends it."""
    url = tmp_path / "interrupted.zarr"
    command = [sys.executable, "-m", "benchmarks.engine.kill", str(url), str(tmp_path / "log")]
    run = subprocess.Popen(
        command,
        cwd=ROOT,
        start_new_session=True,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    while run.poll() is None and len(list((url / "toy/records").glob("*.json"))) < 4:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert said.decode().count("Traceback") == 1 and "KeyboardInterrupt" in said.decode()
    assert not list(url.rglob("*.partial")) and not (url / "toy/lock.json").exists()
    recorded = len(list((url / "toy/records").glob("*.json")))
    assert recorded >= 4
    again = tmp_path / "again"
    subprocess.run([*command[:-1], str(again)], cwd=ROOT, check=True)
    assert len(again.read_text().split()) == 240 - recorded * SHARD
    assert chunk_bytes(url) == reference(tmp_path)
