"""The detector `net`: the packaged contour network on the CPU, the same bytes for any number of threads."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from stages.contours.onnx_model import PACKAGED, onnx_model, read_weights
from stages.networks.run import Network

STRIDE = 8
"""The network's sides are multiples of it, two at least (`OnnxGraph.upsample`)."""


def lab_planes(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W, 3) float32 Lab planes, roughly zero mean and unit variance: the network's input."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    return (lab - np.float32(128)) * np.array([1 / 64, 1 / 24, 1 / 24], np.float32)


@cache
def _net(path: Path) -> Network:
    return Network(onnx_model(read_weights(path)))


def net_contours(image: np.ndarray, weights: Path = PACKAGED) -> np.ndarray:
    """Boundary probability of every pixel: (H, W, 3) uint8 RGB -> (H, W) float32 in [0, 1]."""
    height, width = image.shape[:2]
    below, beside = (max(-(-side // STRIDE), 2) * STRIDE - side for side in (height, width))
    planes = np.pad(lab_planes(image), ((0, below), (0, beside), (0, 0)), mode="edge")
    logit = _net(weights)(planes.transpose(2, 0, 1)[None])[0]
    rows, columns = logit.shape[1:]
    pixels = logit.reshape(2, 2, rows, columns).transpose(2, 0, 3, 1).reshape(2 * rows, 2 * columns)
    with np.errstate(over="ignore"):  # a logit far below zero is a probability of 0
        return np.asarray(1 / (1 + np.exp(-pixels[:height, :width])))
