"""What is handed out: the source distribution and the wheel."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests import needs

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("commands", "data", "pdsl", "pipeline", "stages", "store")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """Names in the source distribution, and in the wheel that is built from it."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)], check=True, capture_output=True)
    with tarfile.open(next(out.glob("*.tar.gz"))) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(next(out.glob("*.whl"))) as wheel:
        return source, set(wheel.namelist())


def tracked() -> set[str]:
    """Files of the checkout, as git knows them."""
    needs.GIT.or_skip()
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


@pytest.mark.slow
def test_the_source_distribution_holds_what_is_tracked(built: tuple[set[str], set[str]]) -> None:
    """Tests, documentation, benchmarks, constraints: what a packager or a reader of the archive needs."""
    missing = {name for name in tracked() if name not in built[0]} - {".gitignore"}
    assert not missing


@pytest.mark.slow
def test_the_wheel_holds_the_program_its_types_and_its_data(built: tuple[set[str], set[str]]) -> None:
    code = {name for name in tracked() if name.endswith(".py") and name.split("/")[0] in (*ROOMS, "cli.py")}
    needed = code | {f"{room}/py.typed" for room in ROOMS}
    needed |= {name for name in tracked() if name.startswith("configs/")} | {"stages/contours/contour_net.npz"}
    assert not needed - built[1]
    assert not {name for name in built[1] if name.split("/")[0] in ("tests", "benchmarks", "docs")}
