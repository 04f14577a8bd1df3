"""A time limit for the work on an image: it fails alone, whatever it is at, and whoever does the work."""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.engine.hosts import cluster
from benchmarks.engine.toy import chunk_bytes, first_stage, image_list
from pipeline.executors import Executor
from pipeline.executors.choose import DeferredExecutor
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from pipeline.time_limit import ImageTimeoutError, time_limit
from store.create import create_or_open
from store.status import failed_images
from store.verify import verify_store

IMAGES = image_list(24)
REASON = "took longer than 1 s (--image-timeout)"


def assert_only_these_fail(url: str, executor: Executor, endless: dict[str, str], tmp_path: Path) -> None:
    """The others are done; a second run without the trouble makes the bytes of an undisturbed one."""
    store = create_or_open(url, IMAGES, shard=4)
    stage = first_stage(endless=tuple(endless.items()))
    summary = run_stage(store, IMAGES, stage, executor, image_timeout=1.0)
    assert {image.image: image.reason for image in failed_images(store, "toy")} == dict.fromkeys(endless, REASON)
    assert (summary.tally.done, summary.tally.failed, summary.exit_status) == (24 - len(endless), len(endless), 3)
    kept = run_stage(store, IMAGES, first_stage(), executor, image_timeout=1.0)
    assert kept.computed.images == 0 and kept.exit_status == 3
    again = run_stage(store, IMAGES, first_stage(), executor, image_timeout=1.0, retry_failed=True)
    assert (again.computed.images, again.exit_status) == (len(endless), 0)
    undisturbed = tmp_path / "undisturbed.zarr"
    run_stage(create_or_open(str(undisturbed), IMAGES, shard=4), IMAGES, first_stage(), SerialExecutor())
    assert chunk_bytes(Path(url)) == chunk_bytes(undisturbed) and not verify_store(store).damage


def test_serially(url: str, tmp_path: Path) -> None:
    assert_only_these_fail(url, SerialExecutor(), {"im00001": "loop", "im00002": "wait", "im00023": "loop"}, tmp_path)


def test_serially_in_another_thread(url: str, tmp_path: Path) -> None:
    errors = []

    def work() -> None:
        try:
            assert_only_these_fail(url, SerialExecutor(), {"im00001": "loop"}, tmp_path)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert not thread.is_alive() and not errors


def test_by_workers(url: str, tmp_path: Path, two_workers: DeferredExecutor) -> None:
    """One that can be broken off costs nothing else; one that can not costs its worker, and blames nobody else."""
    assert_only_these_fail(url, two_workers, {"im00001": "loop", "im00009": "wait"}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["wait", "native"])
def test_by_workers_of_a_scheduler(url: str, tmp_path: Path, how: str) -> None:
    with cluster(tmp_path) as address:
        executor = DeferredExecutor(workers=None, scheduler=address, cluster=None)
        try:
            stage = first_stage(endless=(("im00001", how),))
            store = create_or_open(url, IMAGES, shard=4)
            summary = run_stage(store, IMAGES, stage, executor, image_timeout=1.0)
            assert [image.image for image in failed_images(store, "toy")] == ["im00001"]
            assert "--image-timeout" in failed_images(store, "toy")[0].reason and summary.tally.done == 23
        finally:
            executor.close()


def test_without_a_limit_nothing_is_watched() -> None:
    before = threading.active_count()
    with time_limit(None):
        assert threading.active_count() == before


@pytest.fixture
def often() -> Iterator[None]:
    """Threads take turns more often than blocks of milliseconds end, so that a watcher gets its turn within them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("in_main", [True, False])
def test_the_exception_arises_inside_the_block_or_not_at_all(in_main: bool, often: None) -> None:
    """Limits of about the block's own length: none may reach what comes after."""
    seen, escaped = [], []

    def blocks() -> None:
        try:
            for number in range(3000):
                if number >= 60 and seen:  # on a busy machine the watcher comes late
                    break
                try:
                    with time_limit(0.002):
                        until = time.perf_counter() + 0.001 * (number % 4)
                        while time.perf_counter() < until:
                            pass
                except ImageTimeoutError:
                    seen.append(number)
                until = time.perf_counter() + 0.003
                while time.perf_counter() < until:
                    pass
        except BaseException as error:
            escaped.append(error)

    if in_main:
        blocks()
    else:
        thread = threading.Thread(target=blocks)
        thread.start()
        thread.join()
    assert seen and not escaped
