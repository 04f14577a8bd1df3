"""A disk without room, or without the right to write: every command says what to do and leaves nothing half written."""

import errno
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cli as program
from data.decode import DecodeError, decode_image
from data.errors import InputError, system_advice, system_cause
from data.whole_file import PARTIAL
from pdsl.run.checkpoint import resumable_checkpoint
from pdsl.run.lock import run_lock
from tests import needs
from tests.train.makers import CONFIG, make_store


@pytest.fixture(scope="module")
def world() -> Iterator[Path]:
    """A folder that every user may read: `data`, `train.zarr`, `run`, and `labels`, the same data with other labels."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        place = Path(name)
        place.chmod(0o755)
        make_store(place)
        (place / "tiny.yaml").write_text(CONFIG)
        row = {"image_id": "train_000001", "category_id": 1, "bbox": [1, 1, 20, 20], "score": 0.9}
        (place / "results.json").write_text(json.dumps([row]))
        shutil.copytree(place / "data", place / "labels")
        annotation = place / "labels/Annotations/train_000001.xml"
        text = annotation.read_text()
        present = re.findall(r"<name>(\w+)</name>", text)
        other = next(name for name in (place / "data/classes.txt").read_text().split() if name not in present)
        annotation.write_text(text.replace(f"<name>{present[0]}<", f"<name>{other}<"))
        patch.chdir(place)
        done = CliRunner().invoke(program.cli, ["train", *TRAIN, "--out", "run", "steps=1"])
        assert done.exit_code == 0, done.stderr
        for command in ("eval", "predict"):  # what commands import is imported: nobody may read it later
            CliRunner().invoke(program.cli, [*COMMANDS[command][0].split(), str(place / "warm")])
        yield place


TRAIN = ["--config", "tiny.yaml", "--store", "train.zarr"]
SPLIT = "--data voc:data --split train"
COMMANDS: dict[str, tuple[str, str]] = {
    "train": (f"train {' '.join(TRAIN)} --out", "new"),
    "train on": ("train --resume steps=2 --out", "run"),
    "eval": (f"eval --run run {SPLIT} --store train.zarr --out", "figures"),
    "eval results": (f"eval --results results.json {SPLIT} --out", "figures"),
    "VOC results": (f"eval --results results.json {SPLIT} --voc-results", "voc"),
    "predict": ("predict --run run --proposals selective-search data/JPEGImages/train_000001.jpg --out", "pictures"),
    "export": (f"export --run run {SPLIT} --store train.zarr --out", "labels.json"),
    "inspect": ("inspect --store train.zarr --image train_000001 --out", "look.png"),
    "status": ("status --store train.zarr --failed", "failed.csv"),
    "precompute": (f"precompute --stage proposals {SPLIT} --workers 0 --store", "new.zarr"),
    "relabel": ("relabel --data voc:labels --store", "train.zarr"),
    "repair": ("verify --repair --store", "train.zarr"),
    "demo": ("demo --out", "demo"),
}
"""Command line up to what is written, and its name. What is there already is a copy of the world's."""


def command_line(name: str, world: Path, place: Path) -> list[str]:
    """The command with its output at `place`; its store or run is brought there, for `repair` a damaged one."""
    words, written = COMMANDS[name]
    if (world / written).is_dir():
        shutil.copytree(world / written, place / written)
    if name == "repair":
        (place / written / "zarr.json").write_text("{")
    return [*words.split(), str(place / written)]


def contents(place: Path) -> dict[str, bytes]:
    """Files and empty folders below a folder, but for the lock of a run, which names the last process."""
    found = {str(path): path.read_bytes() if path.is_file() else b"" for path in place.rglob("*")}
    return {name: data for name, data in found.items() if Path(name).name not in ("filler", ".lock")}


def assert_refused(done: Result, reason: str) -> None:
    said = done.output + done.stderr
    assert done.exit_code == 2 and "error: " in said and reason in said, (done.exit_code, said)
    assert "unexpected" not in said and "Traceback" not in said


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    needs.SMALL_DISK.or_skip()
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip(f"{needs.SMALL_DISK.name}: mounting was refused; {needs.SMALL_DISK.cure}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path, left: int = 0) -> None:
    """Leave `left` bytes."""
    with (place / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"0" * 4096)
        except OSError:
            file.truncate(max(0, file.tell() - left))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(world: Path, disk: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(world)
    line = command_line(name, world, disk)
    fill(disk)
    before = contents(disk)
    assert_refused(CliRunner().invoke(program.cli, line), "no space left; free some")
    after = contents(disk)
    if name == "demo":  # goes on in its folder
        after = {path: data for path, data in after.items() if "/demo" not in path}
    assert after == before


def test_a_disk_that_fills_up_in_training(world: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for log and configuration, none for a checkpoint; with room the run goes on as if nothing had been."""
    monkeypatch.chdir(world)
    fill(disk, left=80 * 1024)
    line = ["train", *TRAIN, "--out", str(disk / "run"), "steps=2"]
    assert_refused(CliRunner().invoke(program.cli, line), "make room, then continue with --resume")
    assert not list((disk / "run").rglob(f"*{PARTIAL}")) and not list((disk / "run").rglob("*.pt"))
    (disk / "filler").unlink()
    assert CliRunner().invoke(program.cli, [*line, "--resume"]).exit_code == 0


def test_init_on_a_full_disk(world: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(disk)
    with monkeypatch.context() as patch:
        patch.chdir(disk)
        assert_refused(CliRunner().invoke(program.cli, ["init", "--data", f"voc:{world / 'data'}"]), "no space left")
    assert [path.name for path in disk.iterdir()] == ["filler"]


@pytest.mark.parametrize("name", COMMANDS)
def test_another_users_folder(world: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As a user who may read all and write nothing there."""
    if os.getuid():
        pytest.skip("another user: this user is not root; run as root")
    monkeypatch.chdir(world)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        line = command_line(name, world, place)
        before = contents(place)
        os.seteuid(65534)
        try:
            done = CliRunner().invoke(program.cli, line)
        finally:
            os.seteuid(0)
        assert_refused(done, "permission denied; make it accessible")
        assert contents(place) == before


@pytest.mark.parametrize(
    ("hidden", "line"),
    [
        ("tiny.yaml", f"train {' '.join(TRAIN)} --out new"),
        ("train.zarr/zarr.json", "status --store train.zarr"),
        ("train.zarr/proposals/box/zarr.json", "verify --store train.zarr"),
        ("run/checkpoints/last.pt", f"export --run run {SPLIT} --store train.zarr --out x.json"),
        ("run/checkpoints/last.pt", "train --resume --out run steps=2"),
        ("results.json", f"eval --results results.json {SPLIT}"),
        ("data/Annotations/train_000001.xml", f"eval --results results.json {SPLIT}"),
        (
            "data/JPEGImages/train_000001.jpg",
            "inspect --store train.zarr --image train_000001 --data voc:data --out x.png",
        ),
    ],
)
def test_another_users_file(world: Path, monkeypatch: pytest.MonkeyPatch, hidden: str, line: str) -> None:
    if os.getuid():
        pytest.skip("another user: this user is not root; run as root")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "copy"
        shutil.copytree(world, place)
        for path in (place, place.parent, *place.rglob("*")):
            path.chmod(0o777)
        (place / hidden).chmod(0)
        monkeypatch.chdir(place)
        before = contents(place)
        os.seteuid(65534)
        try:
            done = CliRunner().invoke(program.cli, line.replace("voc:data", f"voc:{place}/data").split())
        finally:
            os.seteuid(0)
        assert_refused(done, "ermission denied")
        assert contents(place) == before and Path(hidden).name in done.stderr


def test_too_few_open_files(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No image is blamed for it, and no older checkpoint taken."""
    monkeypatch.chdir(world)
    image = world / "data/JPEGImages/train_000001.jpg"
    with open_files(0):
        with pytest.raises(InputError, match=r"train_000001\.jpg: too many open files; raise the limit"):
            decode_image(image, exif=False)
        with pytest.raises(OSError, match="Too many open files"):
            resumable_checkpoint(world / "run", lambda text: None)
        with pytest.raises(InputError, match="too many open files; raise"), run_lock(world / "new"):
            pass


@contextmanager
def open_files(more: int) -> Iterator[None]:
    """Within the block this process may open `more` files beside those it has."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest, holes = max(int(path.name) for path in Path("/proc/self/fd").iterdir()), []
    while (free := os.open(os.devnull, os.O_RDONLY)) < highest:
        holes.append(free)  # those below the limit would count as well
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for number in holes:
            os.close(number)


@pytest.mark.parametrize("more", [0, 1, 3])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_with_too_few_open_files(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, more: int
) -> None:
    """It says so and leaves nothing half written, or it needs no more."""
    monkeypatch.chdir(world)
    line = command_line(name, world, tmp_path)
    before = contents(tmp_path)
    with open_files(more):
        done = CliRunner().invoke(program.cli, line)
    if done.exit_code != (3 if name in ("eval", "export") else 0):  # one image of the world has no proposals
        assert_refused(done, "raise the limit (ulimit -n)")
        assert not list(tmp_path.rglob(f"*{PARTIAL}"))
    if more == 0:
        assert done.exit_code == 2 and (contents(tmp_path) == before or name == "demo")


def test_a_decoder_that_finds_no_memory(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blamed on the file only where its picture would fit."""
    image = world / "data/JPEGImages/train_000001.jpg"

    def starved(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("data.decode._to_rgb", starved)
    with pytest.raises(DecodeError, match="asks for more memory than its size needs"):
        decode_image(image, exif=False)
    monkeypatch.setattr("data.decode.BYTES_PER_PIXEL", 2**45)
    with pytest.raises(MemoryError):
        decode_image(image, exif=False)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some"),
        (errno.EACCES, "permission denied"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "check"),
    ],
)
def test_errors_of_the_system_are_status_2(monkeypatch: pytest.MonkeyPatch, number: int, advice: str) -> None:
    """Wherever in a command they come from."""

    def broken(*_: object) -> None:
        raise OSError(number, "as the system says it", "/some/file")

    monkeypatch.setattr(program.Workspace, "find", broken)
    done = CliRunner().invoke(program.cli, ["status"])
    assert done.exit_code == 2 and "/some/file: " in done.output + done.stderr and advice in done.output + done.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried 4 TB"),
        RuntimeError("CUDA out of memory. Tried to allocate 20 GiB\nmore"),
        ValueError("OpenCV(4.13) error: (-4:Insufficient memory) Failed to allocate 99 bytes"),
    ],
)
def test_too_little_memory_is_status_2(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(program.Workspace, "find", broken)
    done = CliRunner().invoke(program.cli, ["status"])
    said = done.output + done.stderr
    assert done.exit_code == 2 and "memory does not suffice" in said and "take smaller images" in said


def test_other_errors_stay_faults_of_ours() -> None:
    assert system_advice(OSError(errno.EBADF, "bad")) is None
    assert system_cause(OSError(errno.ENOENT, "of no file")) is None
    assert system_cause(FileNotFoundError(errno.ENOENT, "gone", "a.json"))
