"""Boundary detection scores of a contour detector on BSDS images that it was not trained on: ODS, OIS, AP.

    python -m stages.contours.evaluate BSDS_DIR [--contours net] [--weights FILE.npz] [--kept-out 50]

The probability map is thinned to ridges; at each of 19 thresholds its pixels are matched one to one with those of each
annotator within 0.0075 of the diagonal (a maximum matching; the benchmark of Martin, Fowlkes and Malik 2004 uses a
minimum-cost one, so figures are close to the official ones, not equal). A detected pixel is right if it matches any
annotator; recall counts the matched pixels of all.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from stages.contours import ContourDetector, detector_by_name
from stages.contours.bsds import evaluation_paths, load_drawn

THRESHOLDS = np.arange(0.05, 1.0, 0.05)
TOLERANCE = 0.0075
"""Largest distance of a match, as a share of the image's diagonal."""


def thin(probability: np.ndarray) -> np.ndarray:
    """Ridges of a probability map (H, W): zero where a neighbour across the contour's direction is higher."""
    smooth = cv2.GaussianBlur(probability.astype(np.float32), (0, 0), 2)
    xx, xy = _derivative(_derivative(smooth, 1, 0), 1, 0), _derivative(_derivative(smooth, 1, 0), 0, 1)
    yy = _derivative(_derivative(smooth, 0, 1), 0, 1)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.where(xx + yy < 0, np.pi / 2, 0)  # direction of strongest curvature
    rows, columns = np.mgrid[: smooth.shape[0], : smooth.shape[1]].astype(np.float32)
    ridge = np.ones(smooth.shape, bool)
    for step in (-1, 1):
        x = (columns + step * np.cos(angle)).astype(np.float32)
        y = (rows + step * np.sin(angle)).astype(np.float32)
        beside = cv2.remap(probability.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        ridge &= probability >= beside
    return np.where(ridge, probability, 0)


def _derivative(plane: np.ndarray, dx: int, dy: int) -> np.ndarray:
    return cv2.Sobel(plane, cv2.CV_32F, dx, dy, scale=1 / 8)


def match(found: np.ndarray, drawn: np.ndarray, reach: float) -> tuple[np.ndarray, int]:
    """One-to-one matches of true pixels at most `reach` apart: which of `found` (H, W) match, and how many."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching
    from scipy.spatial import cKDTree

    matched = np.zeros(found.shape, bool)
    points, targets = np.argwhere(found), np.argwhere(drawn)
    if not len(points) or not len(targets):
        return matched, 0
    near = cKDTree(points).sparse_distance_matrix(cKDTree(targets), reach + 1e-9, output_type="coo_matrix")
    graph = csr_matrix((np.ones(near.nnz, np.int8), (near.row, near.col)), (len(points), len(targets)))
    partner = maximum_bipartite_matching(graph, perm_type="column")
    pairs = points[partner >= 0]
    matched[pairs[:, 0], pairs[:, 1]] = True
    return matched, len(pairs)


def count_image(probability: np.ndarray, boundaries: np.ndarray) -> np.ndarray:
    """Per threshold: detected pixels, right ones, drawn pixels, matched ones: (T, 4). boundaries: (A, H, W) bool."""
    thinned = thin(probability)
    reach = TOLERANCE * float(np.hypot(*probability.shape))
    counts = np.zeros((len(THRESHOLDS), 4))
    for row, threshold in enumerate(THRESHOLDS):
        found = thinned >= threshold
        right, matched = np.zeros(found.shape, bool), 0
        for drawn in boundaries:
            hit, number = match(found, drawn, reach)
            right |= hit
            matched += number
        counts[row] = found.sum(), right.sum(), boundaries.sum(), matched
    return counts


def f_measure(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F of (…, 4) counts; nothing detected is precision 1."""
    precision = np.where(counts[..., 0] > 0, counts[..., 1] / np.maximum(counts[..., 0], 1), 1.0)
    recall = counts[..., 3] / np.maximum(counts[..., 2], 1)
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def scores(counts: np.ndarray) -> dict[str, float]:
    """ODS (best F at one threshold for all), OIS (at the best of each image), AP, of (N, T, 4) counts."""
    precision, recall, f = f_measure(counts.sum(0))
    best = f_measure(counts)[2].argmax(1)
    single = f_measure(counts[np.arange(len(counts)), best].sum(0))[2]
    order = np.argsort(recall)
    grid = np.linspace(0, 1, 101)
    envelope = np.maximum.accumulate(precision[order][::-1])[::-1]
    at_grid = np.interp(grid, recall[order], envelope, left=envelope[0], right=0.0)
    return {"ODS": float(f.max()), "OIS": float(single), "AP": float(at_grid.mean())}


def evaluate(detector: ContourDetector, paths: list[Path]) -> dict[str, float]:
    """Scores of `detector` on the images `paths` of BSDS500."""
    drawn_images = (load_drawn(path) for path in paths)
    return scores(np.stack([count_image(detector(drawn.image), drawn.boundaries) for drawn in drawn_images]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="BSDS500 folder")
    parser.add_argument("--contours", default="net")
    parser.add_argument("--weights", type=Path, help="other weights for the network")
    parser.add_argument("--kept-out", type=int, default=50, help="images at the end of val to measure on")
    parser.add_argument("--every", type=int, default=1, help="use every n-th of them (a minute per 10 images)")
    args = parser.parse_args()
    detector = detector_by_name(args.contours)
    if args.weights is not None:
        from stages.contours.detector import net_contours

        def detector(image: np.ndarray) -> np.ndarray:
            return net_contours(image, args.weights)

    paths = evaluation_paths(args.data, args.kept_out)[:: args.every]
    print(f"{len(paths)} images  " + "  ".join(f"{k} {v:.3f}" for k, v in evaluate(detector, paths).items()))


if __name__ == "__main__":
    main()
