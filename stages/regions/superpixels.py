"""The finest segmentation that a contour map gives, with its region graph: where every hierarchy begins."""

import numpy as np

from stages.regions.contour import FULL_CONTOUR, LAB_UNIT
from stages.regions.graph import RegionGraph, build_region_graph
from stages.regions.watershed import watershed


def build_superpixels(strength: np.ndarray, lab: np.ndarray) -> tuple[np.ndarray, np.ndarray, RegionGraph]:
    """Superpixels of contours `strength` (h, w) uint16, FULL_CONTOUR at most, and `lab` (h, w, 3) float32, as OpenCV.

    Returns their labels (h, w) int32, the contour (h, w) float32 in [0, 1], and their graph.
    """
    label, count = watershed(strength)
    contour = strength.astype(np.float32) / np.float32(FULL_CONTOUR)
    return label, contour, build_region_graph(label, count, contour, lab / np.array(LAB_UNIT, np.float32))
