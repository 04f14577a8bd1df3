"""`--cluster` with `kind: ssh`, over a real SSH server on this machine."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
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

ROOT = Path(__file__).resolve().parents[2]
SSHD = "/usr/sbin/sshd"


@pytest.fixture
def cluster_file(tmp_path: Path) -> Iterator[Path]:
    """A cluster file of two workers on one host, behind an sshd that admits one key."""
    if not Path(SSHD).exists() or not shutil.which("ssh-keygen") or os.getuid():
        pytest.skip("SSH SERVER MISSING: needs root and Debian's openssh-server, this test did not run")
    folder, port = tmp_path / "ssh", free_port()
    folder.mkdir()
    for name in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(keygen, check=True)
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none\n"
        f"SetEnv PYTHONPATH={ROOT}\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-f", str(folder / "sshd_config")])
    time.sleep(0.5)
    connect = {"port": port, "client_keys": [str(folder / "user")], "known_hosts": None, "username": "root"}
    options = {
        "hosts": ["127.0.0.1", "127.0.0.1"],
        "connect_options": connect,
        "remote_python": sys.executable,
        "worker_options": {"local_directory": str(tmp_path)},
    }
    file = tmp_path / "cluster.yaml"
    document = {"kind": "ssh", "workers": 2, "at_least": 2, "wait_seconds": 60, "options": options}
    file.write_text(yaml.safe_dump(document))
    yield file
    server.terminate()
    server.wait()


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
