"""What is handed out: the source distribution, and the wheel that is built from it and installed."""

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import pdsl
from tests import needs

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("commands", "data", "pdsl", "pipeline", "stages", "store")

pytestmark = pytest.mark.slow


def tracked() -> set[str]:
    """Files of the checkout, as git knows them."""
    needs.GIT.or_skip()
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of both, built from a copy: in the checkout, what an earlier build left would be packed too."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment that has the wheel, and the packages of this one but not the checkout."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place, symlinks=True)
    (packages,) = place.glob("lib/python*/site-packages")
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        wheel.extractall(packages)
    others = Path(str(find_spec("numpy").origin)).parents[1]  # type: ignore[union-attr]
    (packages / "others.pth").write_text(f"{others}\n")
    return place / "bin" / "python"


def run(python: Path | str, *arguments: str, folder: Path) -> str:
    """What Python prints in `folder`, without this session's PYTHONPATH."""
    done = subprocess.run([str(python), *arguments], cwd=folder, env={}, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_the_source_distribution_holds_what_is_tracked(dist: Path) -> None:
    """Tests, documentation, benchmarks, constraints: what a packager or a reader of the archive needs."""
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert not tracked() - packed - {".gitignore"}


def test_the_wheel_holds_the_program_its_types_and_its_data(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        packed = set(wheel.namelist())
    code = {name for name in tracked() if name.endswith(".py") and name.split("/")[0] in (*ROOMS, "cli.py")}
    needed = code | {f"{room}/py.typed" for room in ROOMS}
    needed |= {name for name in tracked() if name.startswith(("configs/", "pdsl/report/templates/"))}
    needed.add("stages/contours/contour_net.npz")
    assert not needed - packed
    assert not {name for name in packed if name.split("/")[0] in ("tests", "benchmarks", "docs")}


def test_the_installed_wheel_runs(installed: Path, tmp_path: Path) -> None:
    assert run(installed, "-m", "pdsl", "--version", folder=tmp_path) == f"pdsl, version {pdsl.__version__}\n"
    program = (
        "import pathlib, pdsl, commands.precompute, stages.registry; from pdsl.config.shipped import find_config\n"
        "print(pdsl.load_config(find_config('demo')).steps > 0, pathlib.Path(pdsl.__file__).parents[1].name)"
    )
    assert run(installed, "-c", program, folder=tmp_path) == "True site-packages\n"


def test_a_type_checker_sees_the_types_of_the_installed_wheel(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "notebook.py").write_text("import pdsl\nreveal_type(pdsl.load_config)\n")
    said = run(sys.executable, "-m", "mypy", "--python-executable", str(installed), "notebook.py", folder=tmp_path)
    assert "-> pdsl.config.tree.Config" in said, said
