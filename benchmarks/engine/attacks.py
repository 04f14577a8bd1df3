"""A small world (data set, store, run, results), and commands run in copies of it that something was done to.

An attack is refused (status 2, one line), survived (done right: 0, or 3 where images fail) or wrong: another status, a
traceback, a signal, more than `LIMIT` seconds, a file of the user's changed, something half written left behind, a
control character on the terminal, foreign code run.
"""

import hashlib
import importlib
import io
import json
import os
import pkgutil
import resource
import shlex
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.engine.trainable import CONFIG, make_store

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 150.0
REFUSED, SURVIVED = frozenset({2}), frozenset({0, 3})
EITHER = REFUSED | SURVIVED


@dataclass(frozen=True)
class Attack:
    """line: of the command, in a copy of the world. before: what is done to the copy. expected: statuses. mine:
    beginnings of paths that the command may make or change. kill: signals to send, with the seconds before each.
    limits: of the process (resource, value). environment: variables."""

    point: int
    line: str
    expected: frozenset[int] = REFUSED
    before: Callable[[Path], None] = lambda place: None
    mine: tuple[str, ...] = ("new",)
    kill: tuple[tuple[float, int], ...] = ()
    limits: tuple[tuple[int, int], ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """status: of the process, negative for a signal. said: its last line. fault: what is wrong, "" if nothing."""

    status: int
    said: str
    fault: str

    @property
    def kind(self) -> str:
        """As the totals count it."""
        if self.fault:
            return "wrong"
        return "refused" if self.status == 2 else "survived"


def import_all() -> None:
    """What commands import when they begin, so that no forked process has to."""
    for place in ("commands", "pdsl", "stages", "pipeline", "store"):
        for _, name, _ in pkgutil.walk_packages([str(ROOT / place)], f"{place}."):
            if not name.endswith("__main__"):
                importlib.import_module(name)


def make_world(folder: Path) -> Path:
    """data/, train.zarr, tiny.yaml, run/, results.json, photo.jpg."""
    from click.testing import CliRunner

    import cli

    import_all()
    folder.mkdir(parents=True)
    make_store(folder, train=6)
    settings = CONFIG.replace("steps: 8", "steps: 2").replace("checkpoint_every: 4", "checkpoint_every: 1")
    (folder / "tiny.yaml").write_text(settings + "pictures: 0\n")
    row = {"image_id": "train_000001", "category_id": 1, "bbox": [1, 1, 20, 20], "score": 0.9}
    (folder / "results.json").write_text(json.dumps([row]))
    shutil.copy(folder / "data/JPEGImages/train_000001.jpg", folder / "photo.jpg")
    home = Path.cwd()
    os.chdir(folder)
    try:
        for line in (
            "train --config tiny.yaml --store train.zarr --out run",
            "export --run run --data voc:data --split train --store train.zarr --out warm.json",
            "eval --results results.json --data voc:data --split train --out warm",
            "predict --run run --proposals selective-search photo.jpg --out warm",
        ):
            done = CliRunner().invoke(cli.cli, shlex.split(line))
            if done.exit_code not in SURVIVED:
                raise RuntimeError(f"{line}: {done.output}{done.stderr}")
    finally:
        os.chdir(home)
    return folder


def attempt(attack: Attack, world: Path, place: Path) -> Outcome:
    """Run it in a copy of `world` at `place`, in a process forked from this one."""
    shutil.copytree(world, place, symlinks=True)
    attack.before(place)
    before = digests(place)
    said = place.with_suffix(".said")
    process = os.fork()
    if not process:
        _become(attack, place, said)
    status = _wait(process, attack.kill)
    text = said.read_text(errors="replace")
    return Outcome(
        status,
        ([line for line in text.splitlines() if line.strip()] or [""])[-1],
        _fault(attack, status, text, before, digests(place)),
    )


def digests(place: Path) -> dict[str, str]:
    """Of every file below `place`, links and what is no file by kind."""
    found = {}
    for path in sorted(place.rglob("*")):
        mode = path.lstat().st_mode
        name = path.relative_to(place).as_posix()
        if stat.S_ISREG(mode):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(mode):
            found[name] = f"-> {path.readlink()}"
        elif not stat.S_ISDIR(mode):
            found[name] = "other"
    return found


def _become(attack: Attack, place: Path, said: Path) -> None:
    """In the forked process: the command, and never back."""
    status = 70
    with said.open("w", buffering=1) as out, redirect_stdout(out), redirect_stderr(out):
        try:
            os.chdir(place)
            sys.stdin = io.StringIO("")
            os.environ.update(attack.environment)
            for what, value in attack.limits:
                resource.setrlimit(what, (value, resource.getrlimit(what)[1]))
            import cli

            cli.cli.main(shlex.split(attack.line), prog_name="pdsl")
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(bool(error.code))
        except BaseException as error:
            print(f"Traceback: {type(error).__name__}: {error}")
        finally:
            os._exit(status)


def _wait(process: int, kill: tuple[tuple[float, int], ...]) -> int:
    started, waiting, due = time.monotonic(), list(kill), 0.0
    while True:
        ended, code = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(code)
        now = time.monotonic() - started
        if waiting and now > due + waiting[0][0]:
            seconds, number = waiting.pop(0)
            due += seconds
            os.kill(process, number)
        if now > LIMIT:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


def _fault(attack: Attack, status: int, said: str, before: dict[str, str], after: dict[str, str]) -> str:
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    foreign = sorted(name for name in changed if not name.startswith(attack.mine) and not name.endswith("/.lock"))
    if status not in attack.expected:
        return f"status {status}"
    if "Traceback" in said or "unexpected error" in said:
        return "an error of ours"
    if foreign:
        return f"changed: {', '.join(foreign[:3])}"
    if any(name.endswith(".partial") for name in after.keys() - before.keys()) or "owned" in after:
        return "left behind, or foreign code ran"
    if any(ord(letter) < 32 and letter not in "\n\r\t" for letter in said):
        return "control characters"
    if status == 2 and not said.strip():
        return "no reason was given"
    return ""
