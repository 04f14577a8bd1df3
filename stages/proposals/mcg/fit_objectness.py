"""Fit the constants of `objectness.py` to the segments that people drew in BSDS500, and show how well they hold.

    python -m stages.proposals.mcg.fit_objectness BSDS_DIR

A proposal counts as right by the share of annotators who drew a segment whose box it overlaps by half or more. The
constants are of greatest likelihood on the images that taught the ranking; the table is of the images kept out.
"""

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from data.boxes import pairwise_iou
from stages.contours import detector_by_name
from stages.contours.bsds import DrawnImage, evaluation_paths, load_drawn, training_paths
from stages.proposals.mcg.fit_ranking import segment_boxes
from stages.proposals.mcg.method import select_candidates
from stages.proposals.mcg.objectness import log_odds, objectness
from stages.proposals.mcg.params import McgParams

START = (0.0, 0.2, 0.5, -6.0)
EDGES = (0, 0.06, 0.07, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1)
"""Of the table's rows."""


def right(boxes: np.ndarray, drawn: DrawnImage) -> np.ndarray:
    """Share of the annotators with a segment that each of `boxes` (n, 4) overlaps by half or more: (n,) float64."""
    each = [DrawnImage(drawn.name, drawn.image, drawn.boundaries, one[None]) for one in drawn.segments]
    hits = [pairwise_iou(segment_boxes(one), boxes.astype(np.float64)).max(0) >= 0.5 for one in each]
    return np.mean(hits, 0)


def examples(paths: list[Path], params: McgParams) -> tuple[np.ndarray, np.ndarray]:
    """Gain and `right` of all proposals of the images: (n,) float64 each."""
    gains, shares = [], []
    for path in paths:
        drawn = load_drawn(path)
        selected = select_candidates(drawn.image, params, detector_by_name(params.contours))
        gains.append(selected.gain)
        shares.append(right(selected.box, drawn))
    return np.concatenate(gains), np.concatenate(shares)


def fit(gain: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The coefficients (4,) of `log_odds` of greatest likelihood; proposals without gain take no part."""
    x, y = np.log(gain[gain > 0]), share[gain > 0]

    def loss(coefficients: np.ndarray) -> float:
        odds = log_odds(x, coefficients)
        return float((np.logaddexp(0, odds) - y * odds).mean())

    options = {"maxiter": 4000, "xatol": 1e-5, "fatol": 1e-9}
    return np.asarray(minimize(loss, START, method="Nelder-Mead", options=options).x)


def reliability(score: np.ndarray, share: np.ndarray) -> Iterator[tuple[float, float, int, float, float]]:
    """Of each row of the table that has any: its edges, number of proposals, mean score, mean share."""
    for low, high in pairwise(EDGES):
        mine = (score >= low) & (score < high)
        if mine.any():
            yield low, high, int(mine.sum()), float(score[mine].mean()), float(share[mine].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="BSDS500 folder")
    parser.add_argument("--kept-out", type=int, default=50, help="images at the end of val for the table")
    parser.add_argument("--every", type=int, default=3, help="fit to every n-th of the others")
    args = parser.parse_args()
    gain, share = examples(training_paths(args.data, args.kept_out)[:: args.every], McgParams())
    print(f"# {len(gain)} proposals", *(f"{value:.4f}" for value in fit(gain, share)))
    gain, share = examples(evaluation_paths(args.data, args.kept_out), McgParams())
    for low, high, count, said, found in reliability(objectness(gain), share):
        print(f"{low:4.2f} to {high:4.2f} {count:7d} {said:.3f} {found:.3f}")


if __name__ == "__main__":
    main()
