"""A small world (data set, store, run, results), and commands run in copies of it that something was done to.

All copies take their turn at one path, where the world was made: a run knows its stores by where they are.
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
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.engine.trainable import CONFIG
from data.scenes import write_scenes

SCENES = "--data voc:data --split train"
MADE_BY = (
    f"precompute --stage all {SCENES} --store train.zarr --workers 0 --set proposals.method=selective-search "
    "--set proposals.max_proposals=60 --set store.shard=4",
    "train --config tiny.yaml --store train.zarr --out run",
    f"export --run run {SCENES} --store train.zarr --out warm/labels.json",
    f"eval --results results.json {SCENES} --out warm",
    "predict --run run photo.jpg --out warm",
)
"""The last ones only so that nothing is compiled or imported for the first time under attack."""
ROOT = Path(__file__).resolve().parents[2]
LIMIT = 150.0
REFUSED, SURVIVED = frozenset({2}), frozenset({0, 3})
EITHER = REFUSED | SURVIVED


@dataclass(frozen=True)
class Attack:
    """line: of the command, in a copy of the world. before: what is done to the copy. expected: statuses. mine:
    beginnings of paths that the command may make or change. kill: signals to send, with the seconds before each.
    limits: of the process (resource, value). environment: variables. closed: its output goes nowhere."""

    point: int
    line: str
    expected: frozenset[int] = REFUSED
    before: Callable[[Path], None] = lambda place: None
    mine: tuple[str, ...] = ("new",)
    kill: tuple[tuple[float, int], ...] = ()
    limits: tuple[tuple[int, int], ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    closed: bool = False


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
    """data/, train.zarr, tiny.yaml, run/, results.json, photo.jpg; a folder with a copy of all that, to copy from."""
    from click.testing import CliRunner

    import cli

    import_all()
    write_scenes(folder / "data", train=6, val=2, side=64, seed=0)
    settings = CONFIG.replace("steps: 8", "steps: 2").replace("checkpoint_every: 4", "checkpoint_every: 1")
    (folder / "tiny.yaml").write_text(settings + "pictures: 0\n")
    row = {"image_id": "train_000001", "category_id": 1, "bbox": [1, 1, 20, 20], "score": 0.9}
    (folder / "results.json").write_text(json.dumps([row]))
    shutil.copy(folder / "data/JPEGImages/train_000001.jpg", folder / "photo.jpg")
    home = Path.cwd()
    os.chdir(folder)
    try:
        for line in MADE_BY:
            done = CliRunner().invoke(cli.cli, shlex.split(line))
            if done.exit_code not in SURVIVED:
                raise RuntimeError(f"{line}: {done.output}{done.stderr}")
    finally:
        os.chdir(home)
    shutil.rmtree(folder / "warm")
    return folder.rename(folder.with_name("pristine"))


def attempt(attack: Attack, pristine: Path, place: Path) -> Outcome:
    """Run it in a copy of `pristine` at `place`, in a process forked from this one."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(pristine, place, symlinks=True)
    attack.before(place)
    before = digests(place)
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        _become(attack, place, writing)
    os.close(writing)
    with ThreadPoolExecutor(1) as listener, os.fdopen(reading, errors="replace") as pipe:
        heard = listener.submit(pipe.read)
        status = _wait(process, attack.kill)
        text = heard.result()
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


def _become(attack: Attack, place: Path, said: int) -> None:
    """In the forked process: the command, and never back. said: where what it says is to go."""
    status = 70
    output = os.open("/dev/full", os.O_WRONLY) if attack.closed else os.dup(said)
    with (
        redirect_stdout(os.fdopen(output, "w", buffering=1)),
        redirect_stderr(os.fdopen(said, "w", buffering=1)),
    ):
        try:
            os.chdir(place)
            sys.stdin = io.StringIO("")
            os.environ.update(attack.environment)
            for what, value in attack.limits:
                resource.setrlimit(what, (value, resource.getrlimit(what)[1]))
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            import cli

            cli.cli.main(shlex.split(attack.line), prog_name="pdsl")
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(bool(error.code))
        except BaseException as error:
            print(f"Traceback: {type(error).__name__}: {error}", file=sys.stderr)
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
