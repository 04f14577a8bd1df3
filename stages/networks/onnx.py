"""The few layers that the stages' networks have, as an ONNX model (https://onnx.ai/onnx/repo-docs/IR.html) in memory.

The format is protobuf: fields of (number, type, value). Only what these layers need is written, without a library.
"""

import numpy as np

IR_VERSION, OPSET = 8, 13
FLOAT = 1
"""TensorProto.DataType.FLOAT."""


class OnnxGraph:
    """A graph that grows layer by layer; each method takes and returns names of values (B, C, H, W) float32.

    The value `INPUT` is there from the start; height and width are free.
    """

    INPUT = "input"

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._fields: list[bytes] = []
        self._count = 0

    def conv(
        self, x: str, weight: np.ndarray, bias: np.ndarray, *, stride: int = 1, dilation: int = 1, relu: bool = True
    ) -> str:
        """Convolution that keeps the size (at stride 1), then ReLU. weight: (O, I, k, k); bias: (O,)."""
        kernel = weight.shape[-1]
        padding = dilation * (kernel // 2)
        y = self._node(
            "Conv",
            [x, self._constant(weight), self._constant(bias)],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            dilations=[dilation, dilation],
            pads=[padding] * 4,
        )
        return self._node("Relu", [y]) if relu else y

    def add(self, x: str, y: str) -> str:
        """Sum of two values of one shape."""
        return self._node("Add", [x, y])

    def upsample(self, x: str) -> str:
        """Twice the height and width, bilinear, as torch's `interpolate(align_corners=False)`.

        Both are at least 2: along a side of 1 OpenCV 5 reads beyond the value, with a weight of 1e-6.
        """
        scales = self._constant(np.array([1, 1, 2, 2]))
        return self._node("Resize", [x, "", scales], mode="linear", coordinate_transformation_mode="half_pixel")

    def model(self, output: str) -> bytes:
        """The whole model, as a file holds it, with `output` as its result."""
        graph = b"".join(self._fields) + _field(2, "graph")
        graph += _field(11, _value_info(self.INPUT, [1, self._channels, "height", "width"]))
        graph += _field(12, _value_info(output, [1, "channels", "rows", "columns"]))
        return _field(1, IR_VERSION) + _field(7, graph) + _field(8, _field(1, "") + _field(2, OPSET))

    def _name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _node(self, operator: str, inputs: list[str], **attributes: list[int] | str) -> str:
        output = self._name()
        node = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, operator)
        node += b"".join(_field(5, _attribute(name, value)) for name, value in attributes.items())
        self._fields.append(_field(1, node))
        return output

    def _constant(self, value: np.ndarray) -> str:
        name = self._name()
        sizes = b"".join(_field(1, size) for size in value.shape)
        tensor = sizes + _field(2, FLOAT) + _field(8, name) + _field(9, value.astype("<f4").tobytes())
        self._fields.append(_field(5, tensor))
        return name


def _attribute(name: str, value: list[int] | str) -> bytes:
    if isinstance(value, str):
        return _field(1, name) + _field(4, value) + _field(20, 3)
    return _field(1, name) + b"".join(_field(8, item) for item in value) + _field(20, 7)


def _value_info(name: str, sizes: list[int | str]) -> bytes:
    shape = b"".join(_field(1, _field(1 if isinstance(size, int) else 2, size)) for size in sizes)
    return _field(1, name) + _field(2, _field(1, _field(1, FLOAT) + _field(2, shape)))


def _field(number: int, value: int | str | bytes) -> bytes:
    """One protobuf field: a number as varint, everything else with its length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
