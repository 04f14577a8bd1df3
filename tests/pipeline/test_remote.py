"""S3 through a real server, with and without hiccups; and Dask workers that were started by hand."""

import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
import zarr

from benchmarks.engine.hosts import cluster, namespaces
from benchmarks.engine.s3 import BUCKET, free_port, s3_server
from benchmarks.engine.toy import chunk_bytes, first_stage, image_list, noise, second_stage
from commands import precompute
from data.errors import InputError
from data.scenes import write_scenes
from pipeline.executors.choose import DeferredExecutor
from pipeline.executors.serial import SerialExecutor
from pipeline.listener import AtWork
from pipeline.runner import run_stage
from pipeline.task import Job
from store.completion import read_completions, recorded_shards
from store.create import create_or_open
from store.errors import DamagedStoreError
from store.lock import LockedError, stage_lock
from store.store import open_store
from store.verify import verify_store
from tests import needs

IMAGES = image_list(70)


def reference(folder: Path, shard: int | None = None) -> dict[str, bytes]:
    store = create_or_open(str(folder), IMAGES, shard=shard)
    run_stage(store, IMAGES, first_stage(), SerialExecutor())
    run_stage(store, IMAGES, second_stage(), SerialExecutor())
    return chunk_bytes(folder)


def test_a_store_on_s3(tmp_path: Path) -> None:
    with s3_server(tmp_path / "served"):
        url = f"s3://{BUCKET}/a.zarr"
        store = create_or_open(url, IMAGES)
        run_stage(store, IMAGES, first_stage(), SerialExecutor(), image_range=(0, 32))
        run_stage(store, IMAGES, first_stage(), SerialExecutor())
        assert run_stage(store, IMAGES, second_stage(), SerialExecutor()).tally.done == 70
        with stage_lock(store.objects, "toy"), pytest.raises(LockedError, match="process"):
            run_stage(store, IMAGES, first_stage(), SerialExecutor())
        store = open_store(url)
        assert store.groups() == ("toy", "toy_sum") and not verify_store(store).damage
        assert np.array_equal(store.read("toy/box", 69), noise("im00069", (5, 4)))
        assert np.array_equal(zarr.open_group(url, mode="r")["toy/box"][69], noise("im00069", (5, 4)))
        served = tmp_path / "served" / BUCKET / "a.zarr"
        assert chunk_bytes(served) == reference(tmp_path / "local.zarr")
        store.objects.delete("toy/box/c/1/0/0")
        with pytest.raises(DamagedStoreError, match="the shard is missing"):
            open_store(url).read("toy/box", 40)
        assert "missing" in verify_store(open_store(url)).damage[0].problem
        run_stage(open_store(url), IMAGES, first_stage(rows=6), SerialExecutor(), overwrite=True)
        assert open_store(url).stale("toy_sum")


def test_images_and_store_on_s3(tmp_path: Path) -> None:
    """The real commands: scenes in a bucket, proposals by a worker process, the same bytes as from local images."""
    write_scenes(tmp_path / "scenes", train=3, val=1, side=64)
    settings = {"proposals": {"max_proposals": 8}, "store": {"shard": 2}}
    wanted = {"split": "train", "stage": "proposals", "settings": settings}
    local = str(tmp_path / "local.zarr")
    assert precompute.run(data=f"voc:{tmp_path / 'scenes'}", store=local, workers=0, **wanted) == 0
    with s3_server(tmp_path / "served"):
        shutil.copytree(tmp_path / "scenes", tmp_path / "served" / BUCKET / "scenes")
        url = f"s3://{BUCKET}/scenes.zarr"
        assert precompute.run(data=f"voc:s3://{BUCKET}/scenes", store=url, workers=1, **wanted) == 0
        assert precompute.run(data=None, store=url, workers=0, **wanted | {"split": None}) == 0
    assert chunk_bytes(tmp_path / "served" / BUCKET / "scenes.zarr") == chunk_bytes(tmp_path / "local.zarr")


def test_an_s3_server_that_goes_away_for_a_while(tmp_path: Path) -> None:
    port = free_port()
    url = f"s3://{BUCKET}/b.zarr"
    with s3_server(tmp_path / "served", port):
        store = create_or_open(url, IMAGES, shard=4)
    back_up = threading.Event()

    def return_later() -> None:
        time.sleep(2)
        with s3_server(tmp_path / "served", port):
            back_up.set()
            finished.wait(600)

    finished = threading.Event()
    server = threading.Thread(target=return_later)
    server.start()
    summary = run_stage(store, IMAGES, first_stage(), SerialExecutor())
    assert summary.tally.done == 70 and back_up.is_set() and not verify_store(store).damage
    assert summary.retries > 0
    finished.set()
    server.join()


def test_two_runs_at_once_on_an_object_store_are_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rclone serve s3` ignores create-only puts, so both may pass the lock in the same instant."""
    local = create_or_open(str(tmp_path / "l.zarr"), IMAGES, shard=4)
    run_stage(local, IMAGES, first_stage(), SerialExecutor())
    with s3_server(tmp_path / "served"):
        url = f"s3://{BUCKET}/c.zarr"
        create_or_open(url, IMAGES, shard=4)
        monkeypatch.setattr("store.lock.Holder.is_alive", lambda self: False)
        monkeypatch.setattr("store.lock._read", lambda objects, key: None)

        def run() -> None:
            with pytest.MonkeyPatch.context():
                try:
                    run_stage(open_store(url), IMAGES, first_stage(seconds=0.002), SerialExecutor())
                except LockedError:
                    refused.append(True)

        refused: list[bool] = []
        monkeypatch.setattr("pipeline.runner.stage_lock", lambda objects, group, shards: _nothing())
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not verify_store(open_store(url)).damage and open_store(url).status("toy").all()
    assert chunk_bytes(tmp_path / "served" / BUCKET / "c.zarr") == chunk_bytes(tmp_path / "l.zarr")


class _nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def test_workers_joined_through_dask_scheduler_and_dask_worker(tmp_path: Path) -> None:
    """Two worker processes with their own working folders, on a local store and on S3; endpoint and keys come from the
    file of storage options only, here as there."""
    with s3_server(tmp_path / "served") as port, pytest.MonkeyPatch.context() as environment:
        options = {
            "key": os.environ["AWS_ACCESS_KEY_ID"],
            "secret": os.environ["AWS_SECRET_ACCESS_KEY"],
            "endpoint_url": f"http://127.0.0.1:{port}",
        }
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
            environment.delenv(name)
        (tmp_path / "options.yaml").write_text(yaml.safe_dump({"s3": options}))
        environment.setenv("PDSL_STORAGE_OPTIONS", str(tmp_path / "options.yaml"))
        with cluster(tmp_path) as address:
            executor = DeferredExecutor(workers=None, scheduler=address, cluster=None)
            for url in (str(tmp_path / "joined.zarr"), f"s3://{BUCKET}/joined.zarr"):
                store = create_or_open(url, IMAGES)
                assert run_stage(store, IMAGES, first_stage(), executor).tally.done == 70
                assert run_stage(store, IMAGES, second_stage(), executor).tally.done == 70
            executor.close()
        expected = reference(tmp_path / "reference.zarr")
        assert chunk_bytes(tmp_path / "joined.zarr") == expected
        assert chunk_bytes(tmp_path / "served" / BUCKET / "joined.zarr") == expected


@pytest.mark.slow
def test_two_hosts_across_a_network(tmp_path: Path) -> None:
    """Two workers in network namespaces with host names of their own, which reach the scheduler by a cable each."""
    needs.NETWORK_NAMESPACES.or_skip()
    with namespaces(["pdsl-a", "pdsl-b"]) as hosts, cluster(tmp_path, hosts) as address:
        executor = DeferredExecutor(workers=None, scheduler=address, cluster=None)
        store = create_or_open(str(tmp_path / "hosts.zarr"), IMAGES, shard=4)
        assert run_stage(store, IMAGES, first_stage(seconds=0.02), executor).tally.done == 70
        assert run_stage(store, IMAGES, second_stage(), executor).tally.done == 70
        executor.close()
    records = read_completions(
        store.objects, [found.key for found in recorded_shards(store.objects, "toy", 4).values()]
    )
    assert {record.host.partition(":")[0] for record in records} == {"pdsl-a", "pdsl-b"}
    assert chunk_bytes(tmp_path / "hosts.zarr") == reference(tmp_path / "reference.zarr", shard=4)


@pytest.mark.slow
def test_workers_with_other_versions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cluster(tmp_path) as address:
        executor = DeferredExecutor(workers=None, scheduler=address, cluster=None)
        store = create_or_open(str(tmp_path / "a.zarr"), IMAGES)
        monkeypatch.setattr("pipeline.versions.code_digest", lambda: "another program")
        with pytest.raises(InputError, match=r"a worker on .* has code [0-9a-f]+ instead of another program"):
            run_stage(store, IMAGES, first_stage(), executor)
        executor.close()
        assert not open_store(str(tmp_path / "a.zarr")).status("toy").any()


def test_a_scheduler_that_can_not_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.executors.dask.CONNECT_SECONDS", 0.5)
    executor = DeferredExecutor(workers=None, scheduler=f"tcp://127.0.0.1:{free_port()}", cluster=None)
    job = Job("run", "memory://a", first_stage(), "", {"exif": False, "max_pixels": 1, "grey_bits": 16})
    with pytest.raises(InputError, match="can not be reached"):
        executor.run(job, [], AtWork())


@pytest.mark.slow
def test_a_scheduler_that_dies_ends_the_run_with_a_hint(tmp_path: Path) -> None:
    store = create_or_open(str(tmp_path / "a.zarr"), IMAGES, shard=4)
    with cluster(tmp_path) as address:
        executor = DeferredExecutor(workers=None, scheduler=address, cluster=None)
        (scheduler,) = [p for p in psutil.Process().children() if "scheduler" in p.cmdline()]

        def kill_at_work() -> None:
            while len(list((tmp_path / "a.zarr/toy/records").glob("*.json"))) < 2:
                time.sleep(0.1)
            scheduler.kill()

        threading.Thread(target=kill_at_work, daemon=True).start()
        with pytest.raises(InputError, match="run the same command again"):
            run_stage(store, IMAGES, first_stage(seconds=0.5), executor)
        executor.close()
    assert run_stage(store, IMAGES, first_stage(), SerialExecutor()).tally.done == 70
