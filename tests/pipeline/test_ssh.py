"""`--cluster` with `kind: ssh`, over a real SSH server on this machine."""

from pathlib import Path

import pytest
import yaml

from benchmarks.engine.s3 import free_port
from benchmarks.engine.toy import chunk_bytes, first_stage, image_list
from data.errors import InputError
from pipeline.executors.choose import DeferredExecutor
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open


@pytest.mark.slow
def test_a_stage_over_ssh(cluster_file: Path, tmp_path: Path) -> None:
    images = image_list(70)
    executor = DeferredExecutor(workers=None, scheduler=None, cluster=str(cluster_file))
    store = create_or_open(str(tmp_path / "ssh.zarr"), images, shard=8)
    try:
        assert run_stage(store, images, first_stage(seconds=0.02), executor).tally.done == 70
        assert executor.workers == 2
    finally:
        executor.close()
    local = create_or_open(str(tmp_path / "local.zarr"), images, shard=8)
    run_stage(local, images, first_stage(), SerialExecutor())
    assert chunk_bytes(tmp_path / "ssh.zarr") == chunk_bytes(tmp_path / "local.zarr")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["key", "port"])
def test_a_host_that_does_not_let_us_in(cluster_file: Path, tmp_path: Path, fault: str) -> None:
    document = yaml.safe_load(cluster_file.read_text())
    if fault == "key":
        document["options"]["connect_options"]["client_keys"] = [str(tmp_path / "ssh/host")]
    else:
        document["options"]["connect_options"]["port"] = free_port()
    cluster_file.write_text(yaml.safe_dump(document))
    store = create_or_open(str(tmp_path / "ssh.zarr"), image_list(8))
    executor = DeferredExecutor(workers=None, scheduler=None, cluster=str(cluster_file))
    with pytest.raises(InputError, match=r"cluster\.yaml: ssh cluster did not start"):
        run_stage(store, image_list(8), first_stage(), executor)
