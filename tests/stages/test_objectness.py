"""Scores of `mcg` as probabilities: order, range, the fit, the version that tells old stores apart."""

import numpy as np
import pytest

from stages.contours.bsds import DrawnImage
from stages.proposals.mcg.fit_objectness import fit, reliability, right
from stages.proposals.mcg.method import select_candidates
from stages.proposals.mcg.objectness import HIGH, KNEE, LOW, OFFSET, log_odds, objectness
from stages.proposals.mcg.params import McgParams
from stages.proposals.stage import proposals_stage
from tests.stages.test_mcg import scene

COEFFICIENTS = np.array([OFFSET, LOW, HIGH, KNEE])


@pytest.mark.parametrize(
    ("gain", "expected"),  # by hand: log odds 0.0205 + 0.2409 x + 1.3558 log(1 + exp(x + 4.0180)), x = log gain
    [(0.0, 0.0), (1e-4, 0.1006), (1e-2, 0.38), (0.1, 0.8825), (1.0, 0.9959)],
)
def test_values(gain: float, expected: float) -> None:
    assert objectness(np.array([gain]))[0] == pytest.approx(expected, abs=5e-4)


def test_the_order_of_the_gains_is_kept() -> None:
    gain = np.concatenate([[0], np.geomspace(1e-12, 1, 10_000)])
    score = objectness(gain)
    assert (np.diff(score) > 0).all() and score[0] == 0 and score[-1] < 1
    assert (np.diff(score.astype(np.float32)) >= 0).all()
    image, _ = scene()
    selected = select_candidates(image, McgParams(mode="fast", max_proposals=50), lambda i: np.zeros(i.shape[:2]))
    assert (np.diff(selected.gain) <= 0).all() and (selected.gain >= 0).all()


def test_the_fit_finds_the_curve_that_made_the_data() -> None:
    rng = np.random.default_rng(0)
    gain = np.exp(rng.uniform(-11, -1, 200_000))
    share = (rng.random(len(gain)) < objectness(gain)).astype(np.float64)
    found = fit(np.append(gain, 0), np.append(share, 1))
    x = np.linspace(-10.5, -1.5, 30)
    assert np.abs(log_odds(x, found) - log_odds(x, COEFFICIENTS)).max() < 0.1
    for low, high, _, said, hit in reliability(objectness(gain), share):
        assert low <= said < high and said == pytest.approx(hit, abs=0.02)


def test_right_is_the_share_of_annotators() -> None:
    halves = np.repeat([[[1, 2]]], 8, 1).repeat(4, 2)  # (1, 8, 8): left and right half
    segments = np.concatenate([halves, np.zeros((1, 8, 8), np.int64)]).astype(np.int32)
    drawn = DrawnImage("x", np.zeros((8, 8, 3), np.uint8), segments > 9, segments)
    boxes = np.array([[0, 0, 4, 8], [0, 0, 8, 8], [0, 0, 2, 2], [0, 0, 3, 8]], np.float32)
    assert right(boxes, drawn).tolist() == [1.0, 1.0, 0.0, 0.5]


def test_versions_tell_scores_apart() -> None:
    assert proposals_stage({"method": "mcg"}).version == 4
    assert proposals_stage({"method": "selective-search"}).version == 1
