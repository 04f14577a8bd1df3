"""Signals to any command, and output that goes nowhere: no traceback, nothing half written, an honest status."""

import os
import shutil
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest
from click.testing import CliRunner

import cli as program
from commands.interrupt import Terminated, signals_as_exceptions
from tests.train.makers import make_store

ROOT = Path(__file__).resolve().parents[1]


def start(*arguments: str, folder: Path, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_every_command_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    left = []

    def interrupted() -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        finally:
            left.append("tidied up")

    monkeypatch.setattr(program.Workspace, "find", interrupted)
    others = {each: signal.signal(each, signal.SIG_DFL) for each in (signal.SIGINT, signal.SIGTERM)}  # of tests before
    try:
        done = CliRunner().invoke(program.cli, ["status"])
        assert (
            done.exit_code == status
            and done.stderr == "interrupted: nothing is left half written, run the same command again\n"
        )
        assert left and {signal.getsignal(each) for each in others} == {signal.SIG_DFL}
    finally:
        for each, handler in others.items():
            signal.signal(each, handler)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with signals_as_exceptions():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    with pytest.raises(Terminated), signals_as_exceptions():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_a_signal_is_not_lost_where_python_can_not_raise(capfd: pytest.CaptureFixture[str]) -> None:
    """The callback of a weak reference, as imports have many: what it raises is printed and forgotten."""

    class Thing:
        pass

    def signalled(_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

    thing = Thing()
    reference = weakref.ref(thing, signalled)
    with pytest.raises(Terminated), signals_as_exceptions():
        del thing
        time.sleep(5)
    assert reference() is None and "Traceback" not in capfd.readouterr().err


def test_ctrl_c_while_the_program_loads_says_nothing_of_imports(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(30)")
    process = start("config", folder=tmp_path, PYTHONPATH=str(tmp_path))
    assert process.stdout is not None and process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert not said and process.returncode == -signal.SIGINT, said


@pytest.mark.slow
@pytest.mark.parametrize("group", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_local_workers_start(tmp_path: Path, number: int, group: bool) -> None:
    """At any moment, to the process alone as a batch system may send it, or to all as a terminal does."""
    make_store(tmp_path)
    how = ["--stage", "proposals", "--workers", "2", "--set", "proposals.method=selective-search"]
    of = ["--data", f"voc:{tmp_path / 'data'}", "--split", "train", "--set", "store.shard=1"]
    for moment in (1.0, 1.6, 2.2, 2.8, 3.4, 4.0, 4.6):
        store = tmp_path / f"{moment}.zarr"
        process = start("precompute", *of, *how, "--store", str(store), folder=tmp_path)
        time.sleep(moment)
        (os.killpg if group else os.kill)(process.pid, number)
        said, _ = process.communicate(timeout=60)
        assert "Traceback" not in said and "rror" not in said, (moment, said)
        assert process.returncode in (0, 128 + number, -number), (moment, said)
        assert not list(store.rglob("*.partial"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("redirection", "status"),
    [
        (">/dev/full", 2),
        (">/dev/full 2>/dev/full", 2),
        (">&-", 0),
        (">&- 2>&-", 0),
        ("| true; exit ${PIPESTATUS[0]}", 141),
    ],
)
@pytest.mark.parametrize("command", ["config", "weights", "--help"])
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash: not installed; its package is called bash")
def test_output_that_goes_nowhere(tmp_path: Path, command: str, redirection: str, status: int) -> None:
    line = f"sleep 0.1; '{sys.executable}' '{ROOT / 'cli.py'}' {command} {redirection}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    if status == 2 and "2>" not in redirection:
        assert "no space left; free some" in done.stderr
    if "PIPESTATUS" in redirection and command == "--help":
        assert done.returncode in (0, 1, 141)
    else:
        assert done.returncode == status, done.stderr
