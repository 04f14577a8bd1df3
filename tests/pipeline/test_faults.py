"""Storage that fails: clear words, retries where they help, nothing marked done that is not whole."""

import errno
import io
import os
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import s3fs
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from benchmarks.engine.toy import chunk_bytes, first_stage, image_list, pixel_stage
from data.errors import InputError
from data.records import ImageList, ImageRecord
from pipeline.executors.serial import SerialExecutor
from pipeline.listener import AtWork
from pipeline.progress import summary_text
from pipeline.runner import run_stage
from pipeline.task import Job, ShardTask
from store import remote
from store.create import create_or_open
from store.objects import StorageError
from store.storage import open_objects
from store.store import open_store
from store.tally import Tally
from store.verify import verify_store
from tests import needs

IMAGES = image_list(64)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where this user may mount one."""
    needs.SMALL_DISK.or_skip()
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"{needs.SMALL_DISK.name}: mounting was refused; {needs.SMALL_DISK.cure}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def assert_continues_to_the_end(url: str, tmp_path: Path, rows: int) -> None:
    """What is recorded is whole; a further run completes the store to the bytes of an undisturbed one."""
    store = open_store(url)
    assert not verify_store(store).damage and not list(Path(url).rglob("*.partial"))
    run_stage(store, IMAGES, first_stage(rows=rows), SerialExecutor())
    fresh = tmp_path / "fresh.zarr"
    run_stage(create_or_open(str(fresh), IMAGES, shard=8), IMAGES, first_stage(rows=rows), SerialExecutor())
    assert chunk_bytes(Path(url)) == chunk_bytes(fresh)


def test_a_full_disk(tmpfs: Path, tmp_path: Path) -> None:
    url = str(tmpfs / "full.zarr")
    store = create_or_open(url, IMAGES, shard=8)
    filler = tmpfs / "filler"
    filler.write_bytes(b"x" * 640_000)
    with pytest.raises(StorageError, match=r"toy/.*could not write it: no space left; free some, then run the same"):
        run_stage(store, IMAGES, first_stage(rows=300), SerialExecutor())
    done = (open_store(url).status("toy") == 1).sum()
    assert 0 < done < 64 and done % 8 == 0
    filler.unlink()
    assert_continues_to_the_end(url, tmp_path, rows=300)


def test_a_disk_that_becomes_read_only(tmpfs: Path, tmp_path: Path) -> None:
    url = str(tmpfs / "ro.zarr")
    store = create_or_open(url, IMAGES, shard=8)
    run_stage(store, IMAGES, first_stage(), SerialExecutor(), image_range=(0, 16))
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    try:
        with pytest.raises(StorageError, match="read-only; make it writable"):
            run_stage(store, IMAGES, first_stage(), SerialExecutor())
        assert open_store(url).status("toy").tolist() == [1] * 16 + [0] * 48
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(tmpfs)], check=True)
    assert_continues_to_the_end(url, tmp_path, rows=5)


@pytest.mark.parametrize(
    ("code", "message"), [(errno.ENOSPC, "no space left"), (errno.EDQUOT, "quota"), (errno.EIO, "input/output error")]
)
@pytest.mark.parametrize("moment", [3, 4, 5, 6, 7])
def test_an_error_at_any_write_of_a_shard(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str, moment: int
) -> None:
    store = create_or_open(url, IMAGES, shard=8)
    run_stage(store, IMAGES, first_stage(), SerialExecutor(), image_range=(0, 8))
    real, calls = os.fsync, [0]

    def failing(handle: int) -> None:
        calls[0] += 1
        if calls[0] == moment:
            raise OSError(code, os.strerror(code))
        real(handle)

    monkeypatch.setattr("os.fsync", failing)
    with pytest.raises(StorageError, match=message):
        run_stage(store, IMAGES, first_stage(), SerialExecutor())
    monkeypatch.undo()
    assert_continues_to_the_end(url, tmp_path, rows=5)


def test_a_limit_on_file_size(url: str) -> None:
    """`ulimit -f`: the kernel cuts the write short and answers EFBIG."""
    code = (
        "import resource, signal; from tests.pipeline.test_faults import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"store = create_or_open({url!r}, IMAGES, shard=8)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: run_stage(store, IMAGES, first_stage(rows=300), SerialExecutor())\n"
        "except StorageError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "toy/box/c/0/0/0: could not write it: the file would be larger than the limit" in said
    assert not open_store(url).status("toy").any() and not list(Path(url).rglob("*.partial"))


class FlakyFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """An object store whose every third request fails, or, when `down`, every one."""

    protocol = "flaky"
    calls = refused = 0
    down = False

    def _tick(self) -> None:
        FlakyFileSystem.calls += 1
        if FlakyFileSystem.down or FlakyFileSystem.calls % 3 == 0:
            FlakyFileSystem.refused += 1
            raise OSError(errno.ECONNRESET, "connection reset by peer")

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        self._tick()
        super().pipe_file(path, value, **kwargs)

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> bytes:
        self._tick()
        return bytes(super().cat_file(path, *args, **kwargs))

    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        self._tick()
        return super().find(path, *args, **kwargs)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FlakyFileSystem]]:
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
    monkeypatch.setattr("data.retry.RETRY_DELAYS", (0.0, 0.0, 0.0))
    FlakyFileSystem.down = False
    yield FlakyFileSystem
    FlakyFileSystem.down = False


def test_an_object_store_with_hiccups(flaky: type[FlakyFileSystem]) -> None:
    store = create_or_open("flaky://hiccups.zarr", IMAGES, shard=8)
    before = flaky.refused
    summary = run_stage(store, IMAGES, first_stage(), SerialExecutor())
    assert summary.tally.done == 64 and flaky.calls > 100
    assert summary.retries == flaky.refused - before >= summary.computed.retries > 8
    assert f"a request was made again {summary.retries} times" in summary_text(summary)
    assert not verify_store(open_store("flaky://hiccups.zarr")).damage


class DistantExecutor(SerialExecutor):
    """Tells of shards as from workers elsewhere, each of which had to make seven requests again."""

    needs_shared_storage = True

    def run(self, job: Job, tasks: Iterable[ShardTask], at_work: AtWork) -> Generator[Tally, None, None]:
        for tally in super().run(job, tasks, at_work):
            yield replace(tally, retries=7)


def test_requests_that_workers_made_again_are_added_up(url: str) -> None:
    store = create_or_open(url, IMAGES, shard=8)
    assert run_stage(store, IMAGES, first_stage(), DistantExecutor(), image_range=(0, 24)).retries == 3 * 7
    summary = run_stage(store, IMAGES, first_stage(), SerialExecutor())
    assert (summary.computed.images, summary.retries) == (40, 0) and "again" not in summary_text(summary)


def test_an_object_store_that_is_down(flaky: type[FlakyFileSystem]) -> None:
    store = create_or_open("flaky://down.zarr", IMAGES, shard=8)
    run_stage(store, IMAGES, first_stage(), SerialExecutor(), image_range=(0, 8))
    flaky.down = True
    with pytest.raises(StorageError, match=r"after 4 attempts.*connection reset.*run the same command again"):
        run_stage(store, IMAGES, first_stage(), SerialExecutor())
    flaky.down = False
    store = open_store("flaky://down.zarr")
    assert store.status("toy").tolist() == [1] * 8 + [0] * 56
    assert run_stage(store, IMAGES, first_stage(), SerialExecutor()).computed.images == 56


def test_images_on_an_object_store_with_hiccups(flaky: type[FlakyFileSystem], tmp_path: Path) -> None:
    """A store that does not answer says nothing of an image: it is asked again, and in the end the run stops."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    records = []
    for number in range(8):
        buffer = io.BytesIO()
        Image.fromarray(np.roll(pixels, number, 0)).save(buffer, "PNG")
        url = f"flaky://bucket/{number}.png"
        filesystem, inner = fsspec.core.url_to_fs(url)
        MemoryFileSystem.pipe_file(filesystem, inner, buffer.getvalue())  # without a hiccup
        records.append(ImageRecord(str(number), url, (6, 8), (0,)))
    images = ImageList("folder:flaky://bucket", "all", ("cat",), (1,), tuple(records))
    store = create_or_open(str(tmp_path / "a.zarr"), images, shard=4)
    flaky.down = True
    with pytest.raises(InputError, match=r"flaky://bucket/0\.png: could not be read after 4 attempts.*run the same"):
        run_stage(store, images, pixel_stage(), SerialExecutor())
    assert not open_store(store.url).status("pixels").any()
    flaky.down, before = False, (flaky.calls, flaky.refused)
    summary = run_stage(store, images, pixel_stage(), SerialExecutor())
    assert summary.tally.done == 8 and flaky.calls - before[0] > 8
    assert summary.retries == flaky.refused - before[1] > 2


def test_missing_objects_and_rights_are_not_retried(flaky: type[FlakyFileSystem]) -> None:
    flaky.calls = 0
    with pytest.raises(FileNotFoundError):
        open_objects("flaky://nowhere").read("key")
    assert flaky.calls == 1


def test_missing_credentials_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StorageError, match=r"Unable to locate credentials; set AWS_ACCESS_KEY_ID and .*PDSL_STORAGE"):
        open_store("s3://no-such-bucket/a.zarr")


def test_objects_written_together_are_tried_again_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = open_objects("memory://together.zarr")
    wanted = {f"a/{number}": bytes([number]) for number in range(20)}
    monkeypatch.setattr(remote, "TOGETHER", 8)
    pipe, refused = MemoryFileSystem.pipe, [OSError("the second batch is refused")]

    def fragile(self: MemoryFileSystem, paths: dict[str, bytes]) -> None:
        if any(path.endswith("/9") for path in paths) and refused:
            raise refused.pop()
        pipe(self, paths)

    monkeypatch.setattr(MemoryFileSystem, "pipe", fragile)
    objects.write_many(wanted.items())
    assert not refused and objects.read_many(wanted) == wanted
    objects.delete_many([key for key, _ in objects.entries("a")])
    assert not list(objects.entries("a"))
