"""Contour detectors: functions image (H, W, 3) uint8 RGB -> boundary probability (H, W) float32 in [0, 1].

`net` is a small network trained on BSDS500, `gradient` needs no learning; any other function of this signature can be
handed to `stages.proposals.mcg.method.mcg_proposals`.
"""

from collections.abc import Callable

import numpy as np

from data.errors import InputError

ContourDetector = Callable[[np.ndarray], np.ndarray]


def detector_by_name(name: str) -> ContourDetector:
    """The detector `name`."""
    if name == "net":
        from stages.contours.detector import net_contours

        return net_contours
    if name == "gradient":
        from stages.contours.gradient import gradient_contours

        return gradient_contours
    raise InputError(f"proposals.contours: '{name}' is not one of net, gradient")
