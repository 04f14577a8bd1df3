"""Loops compiled once: the lock is the user's own, never through a link, not silent; and doing without a cache."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from numba.core.caching import CacheImpl

from stages import compiled as loops
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


def test_where_nothing_can_be_written_loops_are_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])  # numba tries folder after folder; none is left
    loops._tell_once.cache_clear()
    first, second = loops.compiled(lambda x: x + 1), loops.inlined(lambda x: x * 2)
    assert (first(1), second(2)) == (2, 4)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "NUMBA_CACHE_DIR" in said


@pytest.mark.slow
def test_after_a_warm_up_no_photograph_compiles_anything(tmp_path: Path) -> None:
    """All stages on a tiny image leave all the machine code that a larger one needs."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-m", "stages.warm_up"], env=environment, check=True)
    ahead = sorted(path.name for path in tmp_path.rglob("*.nbc"))
    assert any("agglomerate" in name for name in ahead) and any("nearest_by_iou" in name for name in ahead)
    program = (
        "from stages.registry import STAGE_NAMES, compute_image; import numpy as np\n"
        "image, rows = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8), {}\n"
        "for name in STAGE_NAMES: rows |= compute_image(name, image, {}, rows)\n"
    )
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert sorted(path.name for path in tmp_path.rglob("*.nbc")) == ahead
