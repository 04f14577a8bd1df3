"""A SLURM of one machine for tests; conftest.py files make its fixture known."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import needs

HERE = Path(__file__).resolve().parent


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Path]:
    """Folder of a running SLURM's configuration and logs; SLURM_CONF leads to it."""
    needs.SLURM.or_skip()
    folder = tmp_path / "slurm"
    subprocess.run(["sh", str(HERE / "slurm.sh"), "start", str(folder)], check=True)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    yield folder
    del os.environ["SLURM_CONF"]
    subprocess.run(["sh", str(HERE / "slurm.sh"), "stop", str(folder)], check=True)
