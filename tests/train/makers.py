"""A small training set (`benchmarks.engine.trainable`), and files of weights."""

from pathlib import Path

import torch

from benchmarks.engine.trainable import CAPACITY, CONFIG, SEEDS, Parameters, graph, make_store, proposals, seeds, stages
from pdsl.model.build import build_backbone
from pdsl.model.vgg import STEM_LENGTH

__all__ = [
    "CAPACITY",
    "CONFIG",
    "SEEDS",
    "Parameters",
    "graph",
    "make_store",
    "proposals",
    "seeds",
    "stages",
    "write_vgg16",
]


def write_vgg16(path: Path) -> dict[str, torch.Tensor]:
    """A file of random weights of VGG16 with torchvision's names; what it holds."""
    offset = {"stem": 0, "body": STEM_LENGTH}
    parts = {tuple(name.split(".")): value for name, value in build_backbone("vgg16").state_dict().items()}
    features = {f"features.{int(n[1]) + offset[n[0]]}.{n[2]}": x for n, x in parts.items() if n[0] in offset}
    torch.save(features, path)
    return features
