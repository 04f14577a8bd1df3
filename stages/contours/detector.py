"""The detector `net`: the packaged contour network on the CPU, the same bytes for any number of threads."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from stages.contours.net import ContourNet


def lab_planes(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W, 3) float32 Lab planes, roughly zero mean and unit variance: the network's input."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    return (lab - np.float32(128)) * np.array([1 / 64, 1 / 24, 1 / 24], np.float32)


@cache
def _net(path: Path | None) -> "ContourNet":
    import torch

    from stages.contours.weights import PACKAGED, load_net

    net = load_net(path or PACKAGED)
    for parameter in net.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return net


def net_contours(image: np.ndarray, weights: Path | None = None) -> np.ndarray:
    """Boundary probability of every pixel: (H, W, 3) uint8 RGB -> (H, W) float32 in [0, 1]."""
    import torch

    net = _net(weights)
    x = torch.from_numpy(lab_planes(image)).permute(2, 0, 1)[None]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return net(x).sigmoid()[0, 0].numpy()
    finally:
        torch.set_num_threads(threads)
