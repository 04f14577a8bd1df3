"""Azure's and Google's object stores, through emulators: what a folder and S3 can do, they can."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner

import cli as program
from benchmarks.engine.clouds import SERVERS, remote_chunks
from benchmarks.engine.kill import IMAGES, ROOT, SHARD, reference
from benchmarks.engine.s3 import BUCKET, free_port
from benchmarks.engine.toy import chunk_bytes, first_stage
from data.errors import InputError
from data.scenes import write_scenes
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open
from store.errors import IncompleteStoreError
from store.lock import LockedError, stage_lock
from store.objects import StorageError
from store.store import open_store
from store.verify import verify_store
from tests import needs

pytestmark = pytest.mark.slow
NEEDS = {"az": needs.AZURE_EMULATOR, "gs": needs.GOOGLE_EMULATOR}
SETTINGS = ["proposals.max_proposals=24", "store.shard=2", "grabcut.seeds=all"]
TRAINING = ["steps=2", "checkpoint_every=2", "log_every=1", "data.max_proposals=24", "data.loaders=1"]


@pytest.fixture(params=["az", "gs"])
def protocol(request: pytest.FixtureRequest) -> str:
    NEEDS[request.param].or_skip()
    return str(request.param)


@pytest.fixture
def bucket(protocol: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a bucket that is there while the test runs."""
    with SERVERS[protocol](tmp_path / "served", None):
        yield f"{protocol}://{BUCKET}"


def call(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(program.cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


def damage(url: str, keys: list[str]) -> None:
    """A byte of the first object changes, the second is lost."""
    objects = open_store(url).objects
    data = bytearray(objects.read(keys[0]))
    data[len(data) // 3] ^= 1
    objects.write(keys[0], bytes(data))
    objects.delete(keys[1])


def test_the_whole_job(bucket: str, tmp_path: Path) -> None:
    """Images and stores in the cloud, two workers: all stages, status, verify, repair, inspect, train, eval; the bytes
    of a run with local files."""
    write_scenes(tmp_path / "scenes", train=4, val=2, side=96, seed=1)
    local, url, val = str(tmp_path / "local.zarr"), f"{bucket}/train.zarr", f"{bucket}/val.zarr"
    fsspec.core.url_to_fs(bucket)[0].put(str(tmp_path / "scenes"), f"{BUCKET}/scenes", recursive=True)
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    stages = ["precompute", "--split", "train", "--stage", "all", *settings]
    call(*stages, "--data", f"voc:{tmp_path / 'scenes'}", "--store", local, "--workers", "0")
    call(*stages, "--data", f"voc:{bucket}/scenes", "--store", url, "--workers", "2")
    assert remote_chunks(url) == chunk_bytes(Path(local))
    assert "complete" in call("status", "--store", url)
    damage(url, ["grabcut/mask/c/0/0/0/0", "proposals/box/c/1/0/0"])
    said = call("verify", "--store", url, status=3)
    assert "grabcut/mask/c/0" in said and "proposals/box/c/1" in said
    call("verify", "--store", url, "--repair")
    assert remote_chunks(url) == chunk_bytes(Path(local))
    image = open_store(url).listed().ids[0]
    call("inspect", "--store", url, "--image", image, "--out", str(tmp_path / "a.png"))
    run = str(tmp_path / "run")
    call("train", "--config", "demo", "--store", url, "--out", run, *TRAINING)
    val_split = ["--data", f"voc:{bucket}/scenes", "--split", "val", "--store", val]
    call("precompute", *val_split, "--stage", "proposals", "--workers", "0", *settings)
    call("eval", "--run", run, *val_split)
    assert (Path(run) / "metrics.json").exists()


def test_killed_at_work(bucket: str, tmp_path: Path) -> None:
    """Kill -9 of client and workers: what was recorded stays, the rest leaves no trace."""
    url, log, again = f"{bucket}/killed.zarr", tmp_path / "first.log", tmp_path / "again.log"
    command = [sys.executable, "-m", "benchmarks.engine.kill", url]
    run = subprocess.Popen([*command, str(log)], cwd=ROOT, start_new_session=True)
    while run.poll() is None and _records(url) < 8:
        time.sleep(0.2)
    assert run.poll() is None, "it ended before it could be killed"
    subprocess.run(["kill", "-9", "--", f"-{run.pid}"], check=True)
    run.wait()
    recorded = _records(url)
    store = open_store(url)
    assert not verify_store(store).damage and (store.status("toy") == 1).sum() == recorded * SHARD
    subprocess.run([*command, str(again)], cwd=ROOT, check=True)
    assert len(again.read_text().split()) == len(IMAGES) - recorded * SHARD
    assert remote_chunks(url) == reference(tmp_path) and not verify_store(open_store(url)).damage
    assert not [key for key, _ in store.objects.entries("") if key.endswith(("lock.json", ".partial"))]


def _records(url: str) -> int:
    objects = create_or_open(url, IMAGES, shard=SHARD).objects
    return sum(1 for _ in objects.entries("toy/records"))


def test_locked_and_swept(bucket: str, tmp_path: Path) -> None:
    """One run a stage; what a killed one left without a record does not count."""
    url = f"{bucket}/locked.zarr"
    store = create_or_open(url, IMAGES, shard=SHARD)
    with stage_lock(store.objects, "toy"), pytest.raises(LockedError, match="process"):
        run_stage(store, IMAGES, first_stage(), SerialExecutor())
    run_stage(store, IMAGES, first_stage(), SerialExecutor(), image_range=(0, SHARD))
    store.objects.write("toy/box/c/3/0/0", b"left by a run that was killed")
    with pytest.raises(IncompleteStoreError):
        open_store(url).read("toy/box", 3 * SHARD)
    run_stage(store, IMAGES, first_stage(fail=("im00024",)), SerialExecutor(), image_range=(24, 32))
    run_stage(store, IMAGES, first_stage(), SerialExecutor(), retry_failed=True)
    assert not [key for key, _ in store.objects.entries("") if key.endswith("lock.json")]
    assert remote_chunks(url) == reference(tmp_path)


def test_a_server_that_goes_away_for_a_while(protocol: str, tmp_path: Path) -> None:
    port = free_port()
    url = f"{protocol}://{BUCKET}/b.zarr"
    with SERVERS[protocol](tmp_path / "served", port):
        store = create_or_open(url, IMAGES, shard=SHARD)
    back_up, finished = threading.Event(), threading.Event()

    def return_later() -> None:
        time.sleep(2)
        with SERVERS[protocol](tmp_path / "served", port):
            back_up.set()
            finished.wait(120)

    server = threading.Thread(target=return_later)
    server.start()
    try:
        summary = run_stage(store, IMAGES, first_stage(), SerialExecutor())
        assert summary.tally.done == len(IMAGES) and back_up.is_set() and not verify_store(store).damage
    finally:
        finished.set()
        server.join()


def test_a_bucket_that_does_not_exist(protocol: str, bucket: str) -> None:
    holder = {"az": "container", "gs": "bucket"}[protocol]
    with pytest.raises(StorageError, match=rf"could not write it: .*there is no {holder} 'nowhere'; make it first"):
        create_or_open(f"{protocol}://nowhere/a.zarr", IMAGES)
    with pytest.raises(InputError, match="there is no store"):
        open_store(f"{protocol}://nowhere/a.zarr")


def test_wrong_credentials(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused at once, and not after a minute; Google's emulator asks for none."""
    if not bucket.startswith("az"):
        pytest.skip("the emulator takes any credentials")
    text = fsspec.core.url_to_fs(bucket)[0].connection_string
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text.replace("AccountKey=Eby8", "AccountKey=Abcd"))
    fsspec.get_filesystem_class("az").clear_instance_cache()
    with pytest.raises(InputError, match="set AZURE_STORAGE_CONNECTION_STRING, or"):
        open_store(f"{bucket}/a.zarr")
