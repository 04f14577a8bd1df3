"""The contour network's weights as a plain .npz of float16 arrays (no pickled objects)."""

from pathlib import Path

import numpy as np
import torch

from stages.contours.net import ContourNet

PACKAGED = Path(__file__).with_name("contour_net.npz")


def save_weights(net: ContourNet, path: Path) -> None:
    """Write all parameters and running statistics; the file appears whole or not at all."""
    arrays = {name: value.numpy().astype(np.float16) for name, value in net.state_dict().items() if value.ndim}
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, allow_pickle=False, **arrays)
    partial.replace(path)


def load_net(path: Path = PACKAGED) -> ContourNet:
    """A network in evaluation mode with the weights of `path`; batch normalisation is folded into the convolutions."""
    net = ContourNet()
    with np.load(path, allow_pickle=False) as arrays:
        state = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}
    missing, unexpected = net.load_state_dict(state, strict=False)
    unknown = [name for name in missing if not name.endswith("num_batches_tracked")]
    if unknown or unexpected:
        raise ValueError(f"{path}: not weights of this network (missing {unknown}, unexpected {unexpected})")
    return _fold(net.eval())


def _fold(net: ContourNet) -> ContourNet:
    for module in list(net.modules()):
        if isinstance(module, torch.nn.Sequential) and len(module) == 3 and isinstance(module[1], torch.nn.BatchNorm2d):
            module[0] = torch.nn.utils.fusion.fuse_conv_bn_eval(module[0], module[1])  # type: ignore[arg-type]
            module[1] = torch.nn.Identity()
    return net
