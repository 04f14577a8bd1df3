"""The contour network's weights as a plain .npz of float16 arrays (no pickled objects)."""

from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from data.errors import InputError
from data.whole_file import whole_file
from stages.contours.net import ContourNet, ConvBlock

PACKAGED = Path(__file__).with_name("contour_net.npz")


def save_weights(net: ContourNet, path: Path) -> None:
    """Write all parameters and running statistics; the file appears whole or not at all."""
    arrays = {name: value.numpy().astype(np.float16) for name, value in net.state_dict().items() if value.ndim}
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_net(path: Path = PACKAGED) -> ContourNet:
    """A network in evaluation mode with the weights of `path`; batch normalisation is folded into the convolutions."""
    net = ContourNet()
    with np.load(path, allow_pickle=False) as arrays:
        state = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}
    missing, unexpected = net.load_state_dict(state, strict=False)
    unknown = [name for name in missing if not name.endswith("num_batches_tracked")]
    if unknown or unexpected:
        problem = f"missing {unknown[:3]}, unexpected {unexpected[:3]}"
        raise InputError(f"{path}: not weights of this network ({problem}); use a file of stages.contours.train")
    return _fold(net.eval())


def _fold(net: ContourNet) -> ContourNet:
    for block in list(net.modules()):
        if isinstance(block, ConvBlock):
            block[0] = fuse_conv_bn_eval(cast(nn.Conv2d, block[0]), cast(nn.BatchNorm2d, block[1]))
            block[1] = nn.Identity()
    return net
