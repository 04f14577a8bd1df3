"""The contour network (`net.ContourNet`) as an ONNX model, from its weights as `weights.save_weights` writes them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data.errors import InputError
from stages.networks.onnx import OnnxGraph

PACKAGED = Path(__file__).with_name("contour_net.npz")

EPSILON = 1e-5
"""Of torch's batch normalisation."""

DILATIONS = (2, 4, 8, 4)
"""Of the residual blocks at stride 8."""

BLOCKS = (
    *("encode2.0", "encode2.1", "encode4.0", "encode4.1", "encode8"),
    *(f"context.{i}" for i in range(len(DILATIONS))),
    *("reduce8", "decode4", "reduce4", "decode2"),
)
"""Blocks of a convolution without bias (`.0`) and a batch normalisation (`.1`)."""

NORM = ("weight", "bias", "running_mean", "running_var")
PLAIN = ("logit.weight", "logit.bias", "logit4.weight", "logit4.bias")
"""Convolutions with bias. `logit4` steadies the training and is not used here."""


def read_weights(path: Path = PACKAGED) -> dict[str, np.ndarray]:
    """Arrays of the network by name, float32; InputError if `path` holds others."""
    with np.load(path, allow_pickle=False) as arrays:
        weights = {name: arrays[name].astype(np.float32) for name in arrays.files}
    known = {f"{block}.0.weight" for block in BLOCKS} | {f"{block}.1.{part}" for block in BLOCKS for part in NORM}
    missing, unexpected = sorted({*known, *PLAIN} - set(weights)), sorted(set(weights) - {*known, *PLAIN})
    if missing or unexpected:
        problem = f"missing {missing[:3]}, unexpected {unexpected[:3]}"
        raise InputError(f"{path}: not weights of this network ({problem}); use a file of stages.contours.train")
    return weights


def onnx_model(weights: Mapping[str, np.ndarray]) -> bytes:
    """The network up to the four logits of each cell of two by two pixels: (1, 3, H, W) -> (1, 4, H / 2, W / 2).

    Batch normalisation is folded into the convolutions.
    """
    graph = OnnxGraph(3)

    def block(x: str, name: str, stride: int = 1, dilation: int = 1) -> str:
        return graph.conv(x, *_folded(weights, name), stride=stride, dilation=dilation)

    x2 = block(block(graph.INPUT, "encode2.0", stride=2), "encode2.1")
    x4 = block(block(x2, "encode4.0", stride=2), "encode4.1")
    x8 = block(x4, "encode8", stride=2)
    for i, dilation in enumerate(DILATIONS):
        x8 = graph.add(x8, block(x8, f"context.{i}", dilation=dilation))
    y4 = block(graph.add(x4, graph.upsample(block(x8, "reduce8"))), "decode4")
    y2 = block(graph.add(x2, graph.upsample(block(y4, "reduce4"))), "decode2")
    return graph.model(graph.conv(y2, weights["logit.weight"], weights["logit.bias"], relu=False))


def _folded(weights: Mapping[str, np.ndarray], block: str) -> tuple[np.ndarray, np.ndarray]:
    """Weight (O, I, k, k) and bias (O,) of a convolution that does what the block's two layers do."""
    scale, shift, mean, variance = (weights[f"{block}.1.{part}"] for part in NORM)
    factor = scale / np.sqrt(variance + EPSILON)
    return weights[f"{block}.0.weight"] * factor[:, None, None, None], shift - mean * factor
