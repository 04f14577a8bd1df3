"""The IoU that a seed mask has with its object, as far as it can be told without knowing the object."""

import numpy as np

OFFSET = -0.553
SLOPE = 0.596
"""Log odds of the quality = OFFSET + SLOPE x log odds of the expected IoU. Fitted by `benchmarks.seed_quality`."""


def seed_quality(expected_iou: np.ndarray) -> np.ndarray:
    """Quality of masks, in (0, 1), by the IoU that independent cells would give (`threshold.best_threshold`): (n,).

    It is the mean IoU that such masks had with the annotated object of their box, IoU of box and object 0.5 or more.
    """
    share = np.clip(expected_iou, 1e-6, 1 - 1e-6)
    return np.asarray(1 / (1 + np.exp(-OFFSET - SLOPE * np.log(share / (1 - share)))))
