"""Running a network of `onnx.OnnxGraph` by OpenCV: the same bytes for any number of threads."""

import cv2
import numpy as np


class Network:
    """A network ready to run."""

    def __init__(self, model: bytes) -> None:
        self._net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Output of `x` (B, C, H, W) float32, on one thread."""
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            self._net.setInput(np.ascontiguousarray(x))
            return np.asarray(self._net.forward())
        finally:
            cv2.setNumThreads(threads)
