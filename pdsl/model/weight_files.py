"""Files of ImageNet weights, read into plain tensors: torchvision's by name or file, and the authors' pickles."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor

from data.errors import InputError
from data.regular import read_regular
from data.unpickle import load_plain

TORCHVISION_NAMES = {
    "vgg16": "VGG16",
    "resnet18_ws": "ResNet18",
    "resnet50_ws": "ResNet50",
    "resnet101_ws": "ResNet101",
}
"""torchvision's name of the network behind each backbone that it has weights for."""


def read_weights(source: str, backbone: str) -> dict[str, Tensor]:
    """Tensors by the file's own names. source: a file (.pkl: the authors'; else torch's) or IMAGENET1K_V1.

    Raises InputError for a missing or unreadable file, or one that holds no tensors.
    """
    if source.startswith("IMAGENET1K_"):
        return _by_name(source, backbone)
    path = Path(source)
    try:
        content = read_regular(path)
    except OSError as error:
        raise InputError(f"{source}: can not be read ({error.strerror}); 'backbone.weights' names a file") from error
    pickled = path.suffix in (".pkl", ".pickle")
    tree = load_plain(io.BytesIO(content), source) if pickled else _load_torch(content, source)
    return _tensors(tree, source)


def fetch(backbone: str, *, progress: bool) -> Path:
    """Bring torchvision's weights for `backbone` into torch's cache, checked; where they lie. InputError as above."""
    _by_name("IMAGENET1K_V1", backbone, progress=progress)
    return fetched_path(backbone)


def fetched_path(backbone: str) -> Path:
    """Where torchvision's weights for `backbone` lie in torch's cache once they were fetched."""
    weights: Any = torchvision.models.get_weight(f"{TORCHVISION_NAMES[backbone]}_Weights.IMAGENET1K_V1")
    return Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]


def _by_name(name: str, backbone: str, *, progress: bool = False) -> dict[str, Tensor]:
    if backbone not in TORCHVISION_NAMES:
        raise InputError(
            f"weights: torchvision has no {name} for '{backbone}'; give a file, or 'scratch' to start without"
        )
    full_name = f"{TORCHVISION_NAMES[backbone]}_Weights.{name}"
    try:
        weights: dict[str, Tensor] = torchvision.models.get_weight(full_name).get_state_dict(
            progress=progress, check_hash=True
        )
    except (AttributeError, KeyError, ValueError) as error:
        raise InputError(f"weights: torchvision has no {full_name}; IMAGENET1K_V1 exists") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: the file's checksum is another
        raise InputError(f"weights: {full_name} can not be fetched ({error}); download it and give the file") from error
    return weights


def _load_torch(content: bytes, source: str) -> Any:
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        raise InputError(f"{source}: not a file of torch weights ({str(error).partition(chr(10))[0]})") from error


def _tensors(tree: Any, source: str) -> dict[str, Tensor]:
    """The arrays of a dict, also one level down under `blobs`, `state_dict` or `model`, as float32."""
    for nest in ("blobs", "state_dict", "model"):
        if isinstance(tree, Mapping) and isinstance(tree.get(nest), Mapping):
            tree = tree[nest]
    found: dict[str, Tensor] = {}
    for name, value in tree.items() if isinstance(tree, Mapping) else ():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            found[str(name)] = torch.from_numpy(value.astype(np.float32))
        elif isinstance(value, Tensor) and value.is_floating_point():
            found[str(name).removeprefix("module.")] = value.float()
    if not found:
        raise InputError(f"{source}: holds no weights (expected a dict of arrays)")
    return found
