"""Workers that really run out of memory: by the kernel and by Dask's limit, local ones and those of a scheduler."""

from pathlib import Path

import pytest

from benchmarks.engine.hosts import Host, cluster
from benchmarks.engine.memory import hungry_stage, limited_group
from benchmarks.engine.toy import image_list
from pipeline.executors.choose import DeferredExecutor
from pipeline.executors.dask import WorkersLostError
from pipeline.executors.local import local_executor
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open
from store.verify import verify_store
from tests import needs

MB = 10**6
IMAGES = image_list(12)


def assert_goes_on(url: str) -> None:
    """Nobody is blamed: the same command, where memory suffices, does all images."""
    store = create_or_open(url, IMAGES, shard=4)
    assert store.completion("toy", 1) is None and not list(Path(url).rglob("*.partial"))
    summary = run_stage(store, IMAGES, hungry_stage(()), SerialExecutor())
    assert (summary.tally.done, summary.tally.failed) == (12, 0) and not verify_store(store).damage


def test_the_kernel_ends_a_local_worker(url: str) -> None:
    needs.MEMORY_LIMIT.or_skip()
    said: list[str] = []
    store = create_or_open(url, IMAGES, shard=4)
    with limited_group(200 * MB) as group:
        executor = local_executor(1, said.append)
        with pytest.raises(
            WorkersLostError, match=r"images 4 to 7, on .*memory ran out; no image is blamed .*--workers"
        ):
            run_stage(store, IMAGES, hungry_stage(("im00005",), group), executor)
    assert len(said) == 2 and all("the system ended it because memory ran out" in text for text in said)
    assert_goes_on(url)


def test_workers_of_a_scheduler(url: str, tmp_path: Path) -> None:
    """Dask ends one beyond its memory limit: no image is blamed. Native code crashes: the image is, and with what."""
    said: list[str] = []
    store = create_or_open(url, IMAGES, shard=4)
    with cluster(tmp_path, (Host("one"),), "--memory-limit 400MB") as address:
        executor = DeferredExecutor(workers=None, scheduler=address, cluster=None, announce=said.append)
        with pytest.raises(WorkersLostError, match=r"beyond its memory limit of 0.4 GB and Dask ended it; no image is"):
            run_stage(store, IMAGES, hungry_stage(("im00005",)), executor)
        executor.close()
        assert any("beyond its memory limit of 0.4 GB" in text for text in said)
        assert_goes_on(url)
        second = DeferredExecutor(workers=None, scheduler=address, cluster=None)
        other = create_or_open(str(tmp_path / "other.zarr"), IMAGES, shard=4)
        summary = run_stage(other, IMAGES, hungry_stage((), crash=("im00002",)), second)
        second.close()
    assert (summary.tally.done, summary.tally.failed) == (11, 1)
    assert list(summary.tally.reasons) == [
        "its worker ended each time, also at this image alone: a crash of native code, SIGSEGV"
    ]


def test_a_worker_whose_memory_is_nearly_full_works_on(url: str, tmp_path: Path) -> None:
    """Dask would pause it at 80 % of its limit, and for ever: nothing here is ever spilled."""
    store = create_or_open(url, IMAGES, shard=1)
    with cluster(tmp_path, (Host("one"),), "--memory-limit 400MB") as address:
        executor = DeferredExecutor(workers=None, scheduler=address, cluster=None)
        summary = run_stage(store, IMAGES, hungry_stage((), full=350 * MB), executor)
        executor.close()
    assert (summary.tally.done, summary.tally.failed) == (12, 0) and not summary.ends
