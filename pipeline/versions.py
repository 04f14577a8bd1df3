"""What must be equal on client and workers for their bytes to be equal."""

import hashlib
import platform
from functools import cache
from pathlib import Path

from store.identity import package_versions

Versions = dict[str, str]
ENGINE_PACKAGES = ("dask", "distributed", "fsspec", "google-crc32c", "numcodecs", "numpy", "pillow")
_CODE = ("data", "pipeline", "stages", "store")


def versions_here(packages: tuple[str, ...]) -> Versions:
    """Versions of Python, of the engine's packages and `packages`, and a digest of this program's code."""
    names = tuple(dict.fromkeys((*ENGINE_PACKAGES, *packages)))
    return {"python": platform.python_version(), **package_versions(names), "code": code_digest()}


@cache
def code_digest() -> str:
    """Of the Python files that decide a stage's bytes."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
