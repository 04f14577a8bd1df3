"""Layers of the stages' networks: written as ONNX, run by OpenCV, against plain loops."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stages.networks.onnx import OnnxGraph, _varint
from stages.networks.run import Network


def slow_convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, dilation: int) -> np.ndarray:
    """(C, H, W), (O, C, k, k), (O,) -> (O, ceil(H / stride), ceil(W / stride))."""
    k = weight.shape[-1]
    pad = dilation * (k // 2)
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    rows, columns = -(-x.shape[1] // stride), -(-x.shape[2] // stride)
    out = np.empty((len(weight), rows, columns))
    for i in range(rows):
        for j in range(columns):
            patch = padded[:, i * stride :: dilation, j * stride :: dilation][:, :k, :k]
            out[:, i, j] = (weight * patch).sum((1, 2, 3)) + bias
    return out


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 1), (3, 1, 4), (5, 2, 1), (1, 1, 1), (3, 2, 1)])
@pytest.mark.parametrize("relu", [False, True])
def test_convolution(kernel: int, stride: int, dilation: int, relu: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 12, 16)).astype(np.float32)
    weight, bias = rng.normal(size=(5, 3, kernel, kernel)), rng.normal(size=5)
    graph = OnnxGraph(3)
    net = Network(graph.model(graph.conv(graph.INPUT, weight, bias, stride=stride, dilation=dilation, relu=relu)))
    wanted = np.array([slow_convolution(each, weight, bias, stride, dilation) for each in x])
    assert (wanted < 0).any()
    np.testing.assert_allclose(net(x), np.maximum(wanted, 0) if relu else wanted, rtol=1e-4, atol=1e-4)


def test_sum_and_twice_the_size() -> None:
    graph = OnnxGraph(1)
    net = Network(graph.model(graph.upsample(graph.add(graph.INPUT, graph.INPUT))))
    found = net(np.array([[[[1, 3], [1, 3]]]], np.float32))
    np.testing.assert_allclose(found, [[[[2, 3, 5, 6]] * 4]], rtol=1e-4)


def test_another_size_next() -> None:
    graph = OnnxGraph(1)
    net = Network(graph.model(graph.upsample(graph.INPUT)))
    for shape in ((1, 1, 4, 6), (3, 1, 5, 2), (1, 1, 4, 6)):
        assert net(np.ones(shape, np.float32)).shape == (*shape[:2], 2 * shape[2], 2 * shape[3])


@pytest.mark.parametrize(("value", "encoded"), [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")])
def test_variable_length_integers(value: int, encoded: bytes) -> None:
    """300 is the example of https://protobuf.dev/programming-guides/encoding."""
    assert _varint(value) == encoded


def test_threads_take_turns() -> None:
    graph = OnnxGraph(1)
    net = Network(graph.model(graph.upsample(graph.INPUT)))
    images = [np.full((1, 1, 40 + 8 * i, 64), i, np.float32) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for image, found in zip(images * 20, pool.map(net, images * 20), strict=True):
            assert found.shape[2] == 2 * image.shape[2] and (found == image.flat[0]).all()
