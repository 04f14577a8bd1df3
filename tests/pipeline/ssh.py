"""Workers behind a real SSH server on this machine; conftest.py files make its fixture known."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from benchmarks.engine.s3 import free_port
from tests import needs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cluster_file(tmp_path: Path) -> Iterator[Path]:
    """A cluster file of two workers on one host, behind an sshd that admits one key."""
    needs.SSH_SERVER.or_skip()
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
    server = subprocess.Popen([str(needs.find("sshd")), "-D", "-f", str(folder / "sshd_config")])
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
