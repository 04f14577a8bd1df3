"""Nothing but files is opened, and nothing is waited for."""

import errno
import os
from pathlib import Path

import pytest

from data.errors import InputError, system_advice
from data.parameters import read_mapping
from data.regular import open_regular, read_regular
from pdsl.run.checkpoint import load_checkpoint
from store.local import LocalObjects
from store.objects import StorageError


def test_what_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert read_regular(tmp_path / "file") == read_regular(tmp_path / "link") == b"abc"
    handles = len(list(Path("/proc/self/fd").iterdir()))
    kinds = {"pipe": errno.ENXIO, "zero": errno.ENXIO, "loop": errno.ELOOP, "": errno.EISDIR, "none": errno.ENOENT}
    for name, number in kinds.items():
        with pytest.raises(OSError) as caught:
            open_regular(tmp_path / name)
        assert caught.value.errno == number and caught.value.filename == str(tmp_path / name)
        assert system_advice(caught.value)
    assert len(list(Path("/proc/self/fd").iterdir())) == handles


@pytest.mark.parametrize("target", ["pipe", "/dev/zero"])
def test_nobody_waits_for_a_pipe(tmp_path: Path, target: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "it").symlink_to(target)
    with pytest.raises(InputError, match="no regular file"):
        read_mapping(tmp_path / "it", "it", "of settings")
    with pytest.raises(StorageError, match="a pipe, a socket or a device"):
        LocalObjects(tmp_path).read("it")
    with pytest.raises(InputError, match="it: is not a readable checkpoint"):
        load_checkpoint(tmp_path / "it")
