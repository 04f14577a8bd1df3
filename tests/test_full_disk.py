"""A disk without room, or without the right to write: every command says what to do and leaves nothing half written."""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import cli as program
from data.errors import InputError, system_advice
from data.scenes import write_scenes
from data.whole_file import PARTIAL
from pdsl.run.checkpoint import save_checkpoint
from tests import needs


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system without a free byte."""
    needs.SMALL_DISK.or_skip()
    place = tmp_path / "full"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip(f"{needs.SMALL_DISK.name}: mounting was refused; {needs.SMALL_DISK.cure}")
    with (place / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"0" * 4096)
        except OSError:
            pass
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_init(full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scenes(tmp_path / "data", train=2, val=1, side=48)
    with monkeypatch.context() as patch:
        patch.chdir(full)
        done = CliRunner().invoke(program.cli, ["init", "--data", f"voc:{tmp_path / 'data'}"])
    assert done.exit_code == 2 and "no space left; free some" in done.output + done.stderr
    assert [path.name for path in full.iterdir()] == ["filler"]


def test_a_checkpoint(full: Path) -> None:
    content = {"model": {"w": torch.zeros(50_000)}, "step": 1, "config": {}, "class_names": ["cat"]}
    with pytest.raises(InputError, match=r"can not be written .*make room, then continue with --resume"):
        save_checkpoint(full, content)
    assert not list(full.rglob(f"*{PARTIAL}"))


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
