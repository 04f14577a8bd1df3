"""The sources of evidence against plain loops and by hand."""

import heapq

import numpy as np
import pytest

from stages.grabcut import geodesic
from stages.grabcut.box_window import sample_nearest, sample_window
from stages.grabcut.codebook import FLOOR, OUTSIDE_SHARE, build_codebook, colour_evidence
from stages.grabcut.colour_cut import best_threshold
from stages.grabcut.consensus import vote
from stages.grabcut.geodesic import enclosure_evidence
from stages.grabcut.regions import build_regions, mean_by_leaf, region_evidence


def dijkstra(cost: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Exact geodesic distance; an edge costs the mean of its ends times its length."""
    distance = start.copy()
    heap = [(d, y, x) for (y, x), d in np.ndenumerate(start) if np.isfinite(d)]
    heapq.heapify(heap)
    while heap:
        d, y, x = heapq.heappop(heap)
        if d > distance[y, x]:
            continue
        for a in range(max(0, y - 1), min(cost.shape[0], y + 2)):
            for b in range(max(0, x - 1), min(cost.shape[1], x + 2)):
                further = d + 0.5 * (cost[y, x] + cost[a, b]) * (1.4142135 if a != y and b != x else 1.0)
                if further < distance[a, b]:
                    distance[a, b] = further
                    heapq.heappush(heap, (further, a, b))
    return distance


def test_geodesic_sweeps_come_close_to_dijkstra() -> None:
    rng = np.random.default_rng(0)
    for sharpness in (0, 1, 4):
        cost = 0.01 + rng.random((30, 30)) ** sharpness
        start = np.full((30, 30), np.inf)
        start[rng.integers(0, 30, 5), rng.integers(0, 30, 5)] = 0
        swept = start.copy()
        geodesic._spread(swept, cost)
        exact = dijkstra(cost, start)
        assert (swept >= exact - 1e-9).all()
        assert (swept / np.maximum(exact, 1e-9)).mean() < 1.05


def test_a_closed_contour_encloses() -> None:
    contour = np.zeros((58, 58), np.float32)
    contour[15, 15:44] = contour[43, 15:44] = contour[15:44, 15] = contour[15:44, 43] = 1
    evidence = enclosure_evidence(contour, np.ones((58, 58), bool))
    assert evidence.shape == (56, 56)
    assert evidence[18:38, 18:38].min() > 1
    assert max(evidence[:8].max(), evidence[:, :8].max(), evidence[-8:].max(), evidence[:, -8:].max()) < -1


def test_the_edge_of_the_image_is_no_background() -> None:
    contour = np.zeros((58, 58), np.float32)
    visible = np.ones((58, 58), bool)
    both = enclosure_evidence(contour, visible)
    visible[:, :3] = False
    left = enclosure_evidence(contour, visible)
    assert left[28, 0] > both[28, 0] + 1
    assert np.isfinite(enclosure_evidence(contour, np.zeros((58, 58), bool))).all()  # nothing seen: as if all were


def test_colour_evidence_against_its_formula() -> None:
    rng = np.random.default_rng(0)
    word = rng.integers(0, 4, (6, 6)).astype(np.uint8)
    foreground, outside = rng.random((6, 6)), rng.random(4) * 9
    affinity = rng.random((4, 4))
    inner, outer = np.zeros(4), outside.copy()
    for w, p in zip(word.ravel(), foreground.ravel(), strict=True):
        inner[w] += p
        outer[w] += OUTSIDE_SHARE * (1 - p)
    ratio = np.log((affinity @ (inner / inner.sum()) + FLOOR) / (affinity @ (outer / outer.sum()) + FLOOR))
    np.testing.assert_allclose(colour_evidence(word, foreground, outside, affinity), ratio[word], rtol=1e-9)


def test_codebook_of_two_colours() -> None:
    lab = np.zeros((10, 10, 3), np.float32)
    lab[:, 5:] = (53.2, 80.1, 67.2)  # red; the rest is black
    book = build_codebook(lab, 64)
    assert book.affinity.shape == (2, 2)
    np.testing.assert_allclose(book.affinity.sum(0), 1)
    black, red = book.word[0], book.word[31 * 1024]
    assert black != red


def test_codebook_of_one_colour() -> None:
    book = build_codebook(np.zeros((4, 4, 3), np.float32), 64)
    assert book.affinity.tolist() == [[1.0]]
    assert not book.word.any()


def two_squares() -> tuple[np.ndarray, np.ndarray]:
    """Contours and Lab of a 40 x 60 image: a square at (10..30, 10..30) on a ground."""
    strength, lab = np.zeros((40, 60), np.uint16), np.zeros((40, 60, 3), np.float32)
    lab[10:30, 10:30] = (60, 40, 0)
    strength[9:31, 9:31] = 60000
    strength[11:29, 11:29] = 0
    return strength, lab


def test_regions_say_what_a_box_contains_and_fits() -> None:
    regions = build_regions(*two_squares(), 50)
    assert regions.area[: regions.leaves].sum() == regions.area[-1] == 40 * 60
    assert regions.box[-1].tolist() == [0, 0, 60, 40]
    square, ground = regions.leaf[20, 20], regions.leaf[35, 50]
    assert square != ground
    arrays = (regions.leaf, regions.parent, regions.area, regions.box)
    containment, fit = region_evidence(*arrays, np.array([9.0, 9.0, 31.0, 31.0]))
    assert containment[square] > 0 > containment[ground]
    assert fit[square] > 0 > fit[ground]
    far, _ = region_evidence(*arrays, np.array([40.0, 30.0, 60.0, 40.0]))
    assert far[square] < 0


def test_mean_by_leaf() -> None:
    value, leaf = np.array([[1.0, 3.0], [5.0, 9.0]]), np.array([[0, 0], [2, 0]], np.int32)
    np.testing.assert_allclose(mean_by_leaf(value, leaf, 3), [[13 / 3, 13 / 3], [5, 13 / 3]])


def test_best_threshold_maximises_the_expected_iou_over_all_choices() -> None:
    rng = np.random.default_rng(0)
    for shift in (-2, 0, 2):
        evidence = rng.normal(shift, 2, (5, 5))
        p = 1 / (1 + np.exp(-evidence))
        threshold = best_threshold(evidence)

        def expected(level: float, evidence: np.ndarray = evidence, p: np.ndarray = p) -> float:
            chosen = evidence >= level
            return float(p[chosen].sum() / (chosen.sum() + p[~chosen].sum()))

        assert expected(threshold) == pytest.approx(max(expected(level) for level in evidence.ravel()))


def test_window_samples_cell_centres_bilinearly() -> None:
    ramp = np.tile(np.arange(0, 112, dtype=np.uint8), (112, 1))
    image = np.stack([ramp, ramp.T, np.zeros_like(ramp)], -1)
    window = sample_window((image,), np.array([28.0, 0.0, 84.0, 112.0]), np.zeros(32**3, np.uint8), 1)
    np.testing.assert_allclose(window.rgb[0, :, 0], np.arange(28, 84), atol=1e-4)  # cells of one pixel: exact
    np.testing.assert_allclose(window.rgb[:, 0, 1], 2 * np.arange(56) + 0.5, atol=1e-4)
    margin_columns, all_rows = 16, 56  # rows of the margin lie outside the image
    assert window.outside.tolist() == [margin_columns * all_rows]


def test_nearest_sample_with_a_rim() -> None:
    source = np.arange(64, dtype=np.int32).reshape(8, 8)
    inner = sample_nearest(source, 1.0, 1.0, np.array([2.0, 2.0, 6.0, 6.0]), 4, 0)
    np.testing.assert_array_equal(inner, source[2:6, 2:6])
    np.testing.assert_array_equal(
        sample_nearest(source, 1.0, 1.0, np.array([2.0, 2.0, 6.0, 6.0]), 4, 1), source[1:7, 1:7]
    )
    corner = sample_nearest(source, 0.5, 0.5, np.array([-4.0, -4.0, 4.0, 4.0]), 4, 0)
    np.testing.assert_array_equal(corner, source[np.ix_([0, 0, 0, 1], [0, 0, 0, 1])])


def test_two_votes_outweigh_one_where_the_boxes_reach() -> None:
    full, empty = np.ones((56, 56), bool), np.zeros((56, 56), bool)
    empty[0, 0] = True
    boxes = np.array([[0.0, 0, 56, 56], [0, 0, 56, 50], [0, 0, 50, 56]])
    voted = vote(np.array([empty, full, full]), boxes, 0.5)
    assert voted[0, :50, :50].all()  # both others reach here
    assert not voted[0, 50:, 50:].any()  # none of them does
    assert not voted[0, 10, 52] and not voted[0, 52, 10]  # one alone weighs less than the box itself
    np.testing.assert_array_equal(vote(np.array([empty, full, full]), boxes, 0.99), [empty, full, full])


def test_a_mask_that_loses_its_vote_everywhere_stays() -> None:
    left, right = np.zeros((2, 56, 56), bool)
    left[:, :5] = right[:, -5:] = True
    boxes = np.tile([3.0, 4.0, 90.0, 70.0], (2, 1))
    np.testing.assert_array_equal(vote(np.array([left, right]), boxes, 0.5), [left, right])
