"""The lock under which loops are compiled: the user's own, never through a link, and not silent."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.proposals.mcg import warm_up

HOLD = (
    "import sys, time; from pathlib import Path; from stages.proposals.mcg.warm_up import _exclusive\n"
    "with _exclusive(Path(sys.argv[1])): print('held', flush=True); time.sleep(float(sys.argv[2]))"
)


def test_the_folder_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with warm_up._exclusive(warm_up.cache_folder()):
        assert (tmp_path / "cache/pdsl" / warm_up.LOCK).exists()
        assert (tmp_path / "cache/pdsl").stat().st_mode & 0o077 == 0


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / warm_up.LOCK).symlink_to(victim)
    with warm_up._exclusive(tmp_path):  # without the lock
        assert victim.read_text() == "mine"


def test_waiting_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), "1"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        started = time.monotonic()
        with warm_up._exclusive(tmp_path):
            assert time.monotonic() - started > 0.2
    assert "waiting for another process to compile" in capsys.readouterr().err
