"""Imports run downward only (design: the house)."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("data", "store", "pipeline", "stages", "pdsl", "commands", "cli")
BANNED = {
    "data": {"store", "pipeline", "stages", "pdsl", "commands", "cli", "cv2", "dask", "distributed", "zarr", "torch"},
    "store": {"pipeline", "stages", "pdsl", "commands", "cli", "cv2", "torch", "dask", "distributed"},
    "pipeline": {"stages", "pdsl", "commands", "cli", "cv2", "torch"},
    "stages": {"pdsl", "commands", "cli", "dask", "distributed", "zarr"},
    "pdsl": {"pipeline", "stages", "commands", "cli", "dask", "distributed", "cv2", "higra", "numba"},
    "commands": {"cli"},
}
DOORS = {"pdsl.__main__"}
"""`python -m pdsl` starts the program; nothing imports it."""


def modules() -> dict[str, Path]:
    """All modules of the project by dotted name."""
    found = {"cli": ROOT / "cli.py"}
    for room in ROOMS[:-1]:
        for path in (ROOT / room).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imports(path: Path, *, lazy: bool) -> tuple[str, ...]:
    """Dotted names that a file imports; with `lazy` also those inside functions."""
    return tuple(_imports(path, lazy))


def _imports(path: Path, lazy: bool) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(child) for function in functions for child in ast.walk(function)}
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only or (not lazy and id(node) in inside):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reached(start: str) -> dict[str, str]:
    """Everything that importing `start` imports, mapped to the module that asked for it."""
    seen: dict[str, str] = {}
    queue = [start]
    while queue:
        module = queue.pop()
        for name in imports(MODULES[module], lazy=False):
            if name in seen:
                continue
            seen[name] = module
            parents = [".".join(name.split(".")[: k + 1]) for k in range(name.count(".") + 1)]
            queue += [parent for parent in parents if parent in MODULES and seen.setdefault(parent, module)]
    return seen


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_import_goes_up(module: str) -> None:
    """Directly (also inside functions) and transitively (what importing the module really loads)."""
    if module in DOORS:
        assert all(module not in imports(path, lazy=True) for path in MODULES.values())
        return
    room = module.split(".")[0]
    banned = BANNED.get(room, set())
    direct = {name.split(".")[0] for name in imports(MODULES[module], lazy=True)}
    assert not direct & banned, f"{module} imports {direct & banned}"
    for name, asker in reached(module).items():
        assert name.split(".")[0] not in banned, f"{module} reaches {name} through {asker}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_truth_is_for_evaluation_only(module: str) -> None:
    """No stage, no trainer and no model reads ground truth."""
    if not module.startswith(("store", "stages", "pipeline", "pdsl.model", "pdsl.train", "pdsl.cache", "pdsl.augment")):
        return
    for name, asker in reached(module).items():
        assert not name.startswith("data.truth"), f"{module} reaches {name} through {asker}"


def test_torch_in_stages_only_for_contours() -> None:
    for module, path in MODULES.items():
        if module.startswith("stages") and not module.startswith("stages.contours"):
            roots = {name.split(".")[0] for name in imports(path, lazy=True)}
            assert not roots & {"torch", "torchvision"}, module


def test_no_command_imports_another() -> None:
    """A command is a module with a function `run`; the others (workspace, recipes, costs) import none either."""
    room = [name for name in MODULES if name.startswith("commands.")]
    commands = {name for name in room if "def run(" in MODULES[name].read_text()}
    assert {"commands.train", "commands.precompute"} <= commands
    assert not {(name, other) for name in room for other in imports(MODULES[name], lazy=True) if other in commands}


def test_no_benchmark_imports_tests() -> None:
    """What both need lies in `benchmarks/engine/`, or with the code that is measured."""
    found = {
        (f"benchmarks.{path.stem}", other)
        for path in (ROOT / "benchmarks").rglob("*.py")
        for other in imports(path, lazy=True)
        if other.startswith("tests.") and (ROOT / other.replace(".", "/")).with_suffix(".py").exists()
    }
    assert not found


def test_no_circle_inside_the_store_or_the_engine() -> None:
    """Files of a room form a hierarchy, imports inside functions included."""
    for room in ("store", "pipeline"):
        arrows = {
            name: {other for other in imports(path, lazy=True) if other in MODULES and other != name}
            for name, path in MODULES.items()
            if name.split(".")[0] == room
        }
        while leaves := {name for name, others in arrows.items() if not others & arrows.keys()}:
            arrows = {name: others for name, others in arrows.items() if name not in leaves}
        assert not arrows, f"circle among {sorted(arrows)}"


def test_trainer_half_imports_without_the_offline_half() -> None:
    """Every module under pdsl/ imports where dask, distributed, cv2, higra and numba are not installed."""
    names = [name for name in MODULES if name.split(".")[0] == "pdsl"]
    program = (
        "import sys, importlib\n"
        "for banned in ('dask', 'distributed', 'cv2', 'higra', 'numba'): sys.modules[banned] = None\n"
        f"for name in {sorted(names)!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_check_sees_what_it_should(tmp_path: Path) -> None:
    """The walker finds plain, from-, and lazy imports, and leaves out those for the type checker."""
    file = tmp_path / "x.py"
    file.write_text("import a.b\nif TYPE_CHECKING:\n    import t\ndef f():\n    from c import d\n")
    assert set(imports(file, lazy=True)) == {"a.b", "c", "c.d"}
    assert set(imports(file, lazy=False)) == {"a.b"}
