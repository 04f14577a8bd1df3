"""Files that appear whole or not at all."""

import os
from pathlib import Path

import pytest

from data.errors import system_advice, system_cause
from data.whole_file import PARTIAL, whole_file, write_whole


def test_the_name_appears_with_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with whole_file(path) as file:
        file.write(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half"
    write_whole(path, "ü")
    assert path.read_text(encoding="utf-8") == "ü" and [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with pytest.raises(RuntimeError), whole_file(path) as file:
        file.write(b"new")
        assert any(p.name.endswith(PARTIAL) for p in tmp_path.iterdir())
        raise RuntimeError
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("name", ["pipe", "null", "gone"])
def test_a_pipe_and_a_device_stay_what_they_are(tmp_path: Path, name: str) -> None:
    """Renamed over, `/dev/null` would be a file for everybody."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "gone").symlink_to("pipe")
    with pytest.raises(OSError, match="no regular file") as caught:
        write_whole(tmp_path / name, "text")
    assert system_advice(caught.value) and caught.value.filename == str(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gone", "null", "pipe"]
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "null").readlink() == Path("/dev/null")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_where_the_system_makes_no_files(tmp_path: Path) -> None:
    for place in ("/proc/new.json", "/proc/new/a.json"):
        with pytest.raises(OSError) as caught:
            write_whole(place, "text")
        assert system_cause(caught.value) and str(caught.value.filename).startswith("/proc/new")


def test_the_bytes_reach_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses the flush keeps the old file."""
    path = tmp_path / "a.txt"
    write_whole(path, "old")

    def failing(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        write_whole(path, "new")
    assert path.read_text() == "old"
