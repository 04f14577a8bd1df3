"""IoU of two boxes inside compiled loops; `data.boxes` has it for arrays."""

import numpy as np

from stages.compiled import compiled


@compiled
def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of boxes `a` and `b` (4,) float64 xyxy; 0 where they share nothing."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
