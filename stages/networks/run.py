"""Running a network of `onnx.OnnxGraph` by OpenCV: the same bytes for any number of threads."""

from threading import Lock

import cv2
import numpy as np


class Network:
    """A network ready to run; threads that share it take turns."""

    def __init__(self, model: bytes) -> None:
        self._net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
        self._turn = Lock()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Output of `x` (B, C, H, W) float32, on one thread."""
        with self._turn:
            threads = cv2.getNumThreads()
            cv2.setNumThreads(1)
            try:
                whole = np.ascontiguousarray(x)  # kept: OpenCV may read it until it has run
                self._net.setInput(whole)
                return np.array(self._net.forward())
            finally:
                cv2.setNumThreads(threads)
