"""Fit the weights of `stages.regions.ranking` to the segments that people drew in BSDS500.

    python -m stages.proposals.mcg.fit_ranking BSDS_DIR

A Poisson regression: each drawn segment counts as one object (divided by the number of annotators), shared out among
the candidates that overlap its box, so that small objects, which have few candidates, count as much as large ones.
No object class, box or mask of any detection data set is used. Prints the weights as a table to put there.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from data.boxes import pairwise_iou
from data.masks import tight_box
from stages.contours import detector_by_name
from stages.contours.bsds import DrawnImage, load_drawn, training_paths
from stages.proposals.mcg.candidates import Grouping, candidate_boxes, propose_candidates
from stages.proposals.mcg.params import McgParams
from stages.regions.features import join
from stages.regions.ranking import rank_features

SHARPNESS = 8
"""A candidate of IoU u > 1/2 with a segment's box takes a part of it that is proportional to u ^ SHARPNESS."""

KEPT_BACKGROUND = 0.15
"""Share of the candidates without any segment that enters the fit, weighted up accordingly."""


def segment_boxes(drawn: DrawnImage) -> np.ndarray:
    """Boxes of all segments of all annotators: (S, 4) float64."""
    return np.array(
        [tight_box(segments == label) for segments in drawn.segments for label in np.unique(segments)], np.float64
    )


def expected_counts(candidates: np.ndarray, objects: np.ndarray, sharpness: float = SHARPNESS) -> np.ndarray:
    """The part of the objects (S, 4) that falls to each of the candidate boxes (M, 4): (M,) float64."""
    iou = pairwise_iou(objects, candidates)
    part = np.where(iou > 0.5, iou, 0) ** sharpness
    return (part / np.maximum(part.sum(1, keepdims=True), 1e-12)).sum(0)


Features = Callable[[list[Grouping], np.ndarray], Mapping[str, np.ndarray]]
"""Of all candidates of an image by name, (M,) each."""


def outline_features(groupings: list[Grouping], image: np.ndarray) -> Mapping[str, np.ndarray]:
    """Those of the log-linear model."""
    candidates = join([grouping.candidates for grouping in groupings])
    return rank_features(candidates, image.shape[:2], groupings[-1].superpixels.contour)


def examples(
    paths: list[Path],
    params: McgParams,
    seed: int,
    features_of: Features = outline_features,
    sharpness: float = SHARPNESS,
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Names of the features, features (R, F) float32, counts (R,) and weights (R,) of sampled candidates."""
    rng = np.random.default_rng(seed)
    names: list[str] = []
    rows, counts, weights = [], [], []
    for path in paths:
        drawn = load_drawn(path)
        groupings = propose_candidates(drawn.image, params, detector_by_name(params.contours))
        features = features_of(groupings, drawn.image)
        box = candidate_boxes(groupings)
        count = expected_counts(box.astype(np.float64), segment_boxes(drawn), sharpness) / len(drawn.segments)
        kept = (count > 0) | (rng.random(len(count)) < KEPT_BACKGROUND)
        names = list(features)
        rows.append(np.stack([np.asarray(f, np.float32) for f in features.values()], 1)[kept])
        counts.append(count[kept])
        weights.append(np.where(count > 0, 1, 1 / KEPT_BACKGROUND)[kept])
    return names, np.concatenate(rows), np.concatenate(counts), np.concatenate(weights)


def poisson_regression(
    rows: np.ndarray, counts: np.ndarray, weights: np.ndarray, ridge: float = 1e-3, steps: int = 30
) -> np.ndarray:
    """Coefficients (F,) of log-intensity = constant + rows @ coefficients: Newton's method, standardised columns."""
    mean, deviation = rows.mean(0, dtype=np.float64), rows.std(0, dtype=np.float64) + 1e-6
    x = np.concatenate([np.ones((len(rows), 1)), (rows - mean) / deviation], 1)
    total = counts.sum()
    coefficients = np.zeros(x.shape[1])
    coefficients[0] = np.log(total / weights.sum())
    penalty = np.full(x.shape[1], 2 * ridge)
    penalty[0] = 0
    for _ in range(steps):
        expected = weights * np.exp(np.minimum(x @ coefficients, 5))
        gradient = x.T @ (expected - counts) / total + penalty * coefficients
        hessian = (x.T * expected) @ x / total + np.diag(penalty) + 1e-9 * np.eye(x.shape[1])
        step = np.linalg.solve(hessian, gradient)
        coefficients -= step * min(1.0, 2 / np.abs(step).max())
    return coefficients[1:] / deviation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="BSDS500 folder")
    parser.add_argument("--kept-out", type=int, default=50, help="images at the end of val that are not used")
    parser.add_argument("--every", type=int, default=3, help="use every n-th image")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    paths = training_paths(args.data, args.kept_out)[:: args.every]
    names, rows, counts, weights = examples(paths, McgParams(), args.seed)
    print(f"# {len(paths)} images, {len(rows)} candidates, {counts.sum():.0f} segments")
    for name, coefficient in zip(names, poisson_regression(rows, counts, weights), strict=True):
        print(f'    "{name}": {coefficient:.3f},')


if __name__ == "__main__":
    main()
