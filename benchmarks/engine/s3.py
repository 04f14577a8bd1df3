"""A real S3 server for tests and benchmarks: `rclone serve s3` over a folder."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

ACCESS, SECRET, BUCKET = "test-access", "test-secret-key", "stores"


@contextmanager
def s3_server(folder: Path, port: int | None = None) -> Iterator[int]:
    """Serve the sub-folders of `folder` as buckets; the environment of this process then leads to them. The port."""
    port = port or free_port()
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)
    program = str(Path(sys.executable).with_name("rclone"))
    command = [program, "serve", "s3", "--auth-key", f"{ACCESS},{SECRET}", "--addr", f"127.0.0.1:{port}"]
    command += ["--vfs-cache-mode", "off", str(folder)]
    settings = {
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    }
    with served(command, port, settings, "s3"):
        yield port


@contextmanager
def served(
    command: list[str], port: int, settings: dict[str, str], protocol: str, folder: Path | None = None
) -> Iterator[None]:
    """A server at work (in `folder`, by default in this one), and the environment that leads to it."""
    before = {name: os.environ.get(name) for name in settings}
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            os.environ.update(settings)
            fsspec.get_filesystem_class(protocol).clear_instance_cache()  # instances remember their endpoint
            wait_for(port)
            yield
        finally:
            server.terminate()
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Until something answers at a port of this machine."""
    for _ in range(400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing answers at port {port}")
