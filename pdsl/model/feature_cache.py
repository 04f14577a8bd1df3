"""Feature maps of a frozen backbone, kept in a folder: what was computed once for a picture is read ever after.

A map is named by what it depends on: the backbone's weights, the precision and the pixels themselves. So it does not
matter who asks, a training, another one or an evaluation, nor how a picture came about, and the result has the same
bits as without the folder. A file that is damaged is computed again.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from data.whole_file import write_whole
from pdsl.model.frozen_norm import FrozenNorm

SUFFIX = ".features"
_DIGEST = 16


class FeatureCache:
    """The maps of one backbone in `folder`/<digest of the backbone>/.

    limit: bytes that all maps of this backbone may take; beyond it, or where the disk is full, none is added.
    """

    def __init__(self, folder: Path, backbone: nn.Module, limit: int) -> None:
        self.folder = folder / _digest_of_weights(backbone)
        self.limit = limit
        self.size = sum(entry.stat().st_size for entry in _entries(self.folder))

    def features(self, image: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """What `compute` makes of an image (1, 3, H, W) float32 on the CPU: (1, D, h, w), read or computed and kept."""
        path = self.folder / f"{_digest_of_pixels(image)}{SUFFIX}"
        found = _read(path)
        if found is not None:
            return found
        computed = compute(image)
        self._keep(path, computed)
        return computed

    def _keep(self, path: Path, features: Tensor) -> None:
        content = _to_bytes(features)
        if self.size + len(content) > self.limit:
            return
        try:
            write_whole(path, content, settled=False)
        except OSError as error:
            print(f"warning: {path.parent}: no more feature maps are kept ({error.strerror})", file=sys.stderr)
            self.limit = 0
        else:
            self.size += len(content)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [entry for entry in entries if entry.name.endswith(SUFFIX)]


def _digest_of_weights(backbone: nn.Module) -> str:
    """Of all parameters and buffers, by name, and of what may round otherwise: the version of torch, folded norms."""
    digest = hashlib.blake2b(f"{type(backbone).__name__} {torch.__version__}".encode(), digest_size=_DIGEST)
    if any(isinstance(module, FrozenNorm) for module in backbone.modules()):
        digest.update(b"folded norms")
    for name, value in backbone.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(_raw(value))
    return digest.hexdigest()


def _digest_of_pixels(image: Tensor) -> str:
    """Of an image's pixels and shape, and of the precision that autocast asks for."""
    precision = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else image.dtype
    digest = hashlib.blake2b(f"{precision} {tuple(image.shape)}".encode(), digest_size=_DIGEST)
    digest.update(_raw(image))
    return digest.hexdigest()


def _raw(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def _to_bytes(features: Tensor) -> bytes:
    """One line of JSON (shape, type, digest of what follows), then the values."""
    raw = _raw(features)
    digest = hashlib.blake2b(raw, digest_size=_DIGEST).hexdigest()
    head = {"shape": list(features.shape), "dtype": str(features.dtype).removeprefix("torch."), "digest": digest}
    return json.dumps(head).encode() + b"\n" + raw


def _read(path: Path) -> Tensor | None:
    """The map in a file; None where there is none or it is not whole."""
    try:
        head, raw = path.read_bytes().split(b"\n", 1)
        described = json.loads(head)
        if hashlib.blake2b(raw, digest_size=_DIGEST).hexdigest() != described["digest"]:
            return None
        dtype = {"bfloat16": torch.bfloat16, "float32": torch.float32}[described["dtype"]]
        return torch.frombuffer(bytearray(raw), dtype=dtype).view(described["shape"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None
