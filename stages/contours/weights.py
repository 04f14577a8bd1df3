"""The contour network's weights as a plain .npz of float16 arrays (no pickled objects); read by `onnx_model`."""

from pathlib import Path

import numpy as np

from data.whole_file import whole_file
from stages.contours.net import ContourNet


def save_weights(net: ContourNet, path: Path) -> None:
    """Write all parameters and running statistics; the file appears whole or not at all."""
    arrays = {name: value.numpy().astype(np.float16) for name, value in net.state_dict().items() if value.ndim}
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
