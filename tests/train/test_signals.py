"""Signals to a training: answered in words, a checkpoint, a second one ends it; and who else may train there."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from data.errors import InputError
from pdsl.run.folder import read_log
from pdsl.run.lock import run_lock
from pdsl.run.names import LOG
from pdsl.train import limits
from tests.train.test_resume import run

ROOT = Path(__file__).resolve().parents[2]
STUCK = (
    "import sys, time; from pdsl.train.interrupt import catch_signals\n"
    "with catch_signals() as stop:\n"
    "    print('ready', flush=True)\n"
    "    for _ in range(200): sorted(range(400_000))  # each in native code\n"
    "    print('left', flush=True)\n"
)


def start(*command: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_is_answered_the_second_ends_the_process_at_once(tmp_path: Path, number: int, status: int) -> None:
    process = start("-c", STUCK, folder=tmp_path)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert "stopping after this update, with a checkpoint" in process.stderr.readline()
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=10) == status
    assert time.monotonic() - began < 1
    process.communicate()


def test_under_torchrun_one_wish_may_come_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SLURM signals all processes of a job, and torchrun hands on what it got itself; a person's Ctrl-C counts."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    process = start("-c", STUCK, folder=tmp_path)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    said = process.communicate()[1]
    assert said.count("stopping after this update") == 1 and said.count("ended at once") == 1


def test_sigterm_leaves_a_checkpoint_and_resume_needs_the_folder_only(store: str, config: str, tmp_path: Path) -> None:
    """From another folder, without configuration or stores; what was due when the signal came is made up for."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    relative = os.path.relpath(store, tmp_path)
    command = ["-m", "pdsl", "train", "--config", config, "--store", relative, "--out", "run"]
    figures = [f"validation.store={relative}", "validation.every=1", "log_every=1"]
    process = start(*command, "steps=500", *figures, folder=tmp_path)
    assert process.stderr is not None
    while "mask AP" not in (line := process.stderr.readline()):
        assert line, "it ended"
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 143 and "SIGTERM: stopping after this update" in said, said
    done = [entry["step"] for entry in read_log(tmp_path / "run" / LOG) if "validation" in entry]
    last = read_log(tmp_path / "run" / LOG)[-1]["step"]
    again = start("-m", "pdsl", "train", "--out", str(tmp_path / "run"), "--resume", f"steps={last}", folder=elsewhere)
    said = again.communicate(timeout=120)[1]
    assert again.returncode == 0, said
    made_up = [entry["step"] for entry in read_log(tmp_path / "run" / LOG) if "validation" in entry]
    assert made_up == sorted({*done, last})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("threads=100000", r"threads: 100000 on \d+ cores; give at most"),
        ("data.loaders=100000", r"data\.loaders: 100000 on \d+ cores"),
        ("optimizer.images_per_step=1000000", r"images_per_step: 1000000 images"),
        (
            "optimizer.images_per_step=4000",
            r"images_per_step: 4000 images of one update take \d+ of .* GB; give",
        ),
    ],
)
def test_what_the_machine_does_not_carry_is_refused(
    store: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, message: str
) -> None:
    monkeypatch.setattr(limits.psutil, "virtual_memory", lambda: SimpleNamespace(total=200_000_000))
    with pytest.raises(InputError, match=message):
        run(store, config, tmp_path / "run", override)
    assert not (tmp_path / "run").exists()


def test_one_training_at_a_time(tmp_path: Path) -> None:
    with run_lock(tmp_path / "run"):
        with (
            pytest.raises(InputError, match=rf"another training is at work there \(process {os.getpid()}\)"),
            run_lock(tmp_path / "run"),
        ):
            pass
        (tmp_path / "run/config.yaml").touch()
    with run_lock(tmp_path / "run"):
        assert (tmp_path / "run/config.yaml").exists()
    with run_lock(tmp_path / "nothing came of it"):
        pass
    assert not (tmp_path / "nothing came of it").exists()
