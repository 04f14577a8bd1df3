"""The package from Python, and `python -m pdsl`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pdsl

ROOT = Path(__file__).resolve().parents[1]


def python(*arguments: str, folder: Path = ROOT, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Python in `folder`; `path` is searched before the project."""
    searched = os.pathsep.join(str(place) for place in (path, ROOT) if place)
    environment = os.environ | {"PYTHONPATH": searched}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_public_names_are_there() -> None:
    for name in pdsl.__all__:
        assert getattr(pdsl, name), name
    assert set(pdsl.__all__) <= set(dir(pdsl))
    with pytest.raises(AttributeError, match="no attribute 'predict'"):
        _ = pdsl.predict


def test_neither_the_package_nor_its_configuration_imports_torch() -> None:
    done = python("-c", "import sys, pdsl, pdsl.config.load; print('torch' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


def test_python_m_is_the_console_script(tmp_path: Path) -> None:
    """Also where the current folder has a cli.py of its own."""
    (tmp_path / "cli.py").write_text("raise SystemExit('not ours')")
    done = python("-m", "pdsl", "--version", folder=tmp_path)
    assert done.stdout == f"pdsl, version {pdsl.__version__}\n", done.stderr
    assert "pseudo labels" in python("-m", "pdsl", "export", "--help").stdout.lower()


@pytest.mark.parametrize("command", ["eval", "train"])
def test_a_torchvision_that_does_not_fit_is_said_with_the_cure(tmp_path: Path, command: str) -> None:
    """As beside a CPU-only torch: it fails when it is imported."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    options = ["--data", "voc:x", "--split", "val"] if command == "eval" else ["--config", "demo"]
    more = ["--run", "x"] if command == "eval" else ["--out", "x"]
    done = python("-m", "pdsl", command, *options, *more, "--store", "x", folder=tmp_path, path=tmp_path)
    assert done.returncode == 2 and "built for it; install both" in done.stderr, done.stderr
