"""The sources of evidence against plain loops and by hand."""

import heapq

import numpy as np
import pytest

from benchmarks.seed_quality import Judged, calibration
from stages.grabcut import geodesic
from stages.grabcut.codebook import FLOOR, OUTSIDE_SHARE, build_codebook, colour_ratio
from stages.grabcut.consensus import vote
from stages.grabcut.geodesic import enclosure_evidence
from stages.grabcut.image_model import _strongest
from stages.grabcut.quality import OFFSET, SLOPE, seed_quality
from stages.grabcut.regions import build_regions, containment_evidence, mean_by_leaf
from stages.grabcut.sampling import blurred, cell_index, halvings, seen, upsampled
from stages.grabcut.threshold import REACH, STEP, best_threshold, level_of
from stages.grabcut.tuples import LEAST_IOU, NO_CANDIDATE, SHARPNESS, SOFTEN, tuple_evidence


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
        cost = (0.01 + rng.random((30, 30)) ** sharpness).astype(np.float32)
        start = np.full((30, 30, 2), np.inf, np.float32)
        for k in range(2):
            start[rng.integers(0, 30, 5), rng.integers(0, 30, 5), k] = 0
        swept = start.copy()
        geodesic.spread(swept, cost)
        for k in range(2):
            exact = dijkstra(cost, start[..., k])
            assert (swept[..., k] >= exact - 1e-5).all()
            assert (swept[..., k] / np.maximum(exact, 1e-9)).mean() < 1.05


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


def test_colour_ratio_against_its_formula() -> None:
    rng = np.random.default_rng(0)
    word, margin = rng.integers(0, 4, (10, 10)).astype(np.uint8), 2
    foreground, visible = rng.random((6, 6)), rng.random((10, 10)) < 0.7
    affinity = rng.random((4, 4))
    inner, outer = np.zeros(4), np.zeros(4)
    for (y, x), w in np.ndenumerate(word):
        if 2 <= y < 8 and 2 <= x < 8:
            inner[w] += foreground[y - 2, x - 2]
            outer[w] += OUTSIDE_SHARE * (1 - foreground[y - 2, x - 2])
        elif visible[y, x]:
            outer[w] += 1
    ratio = np.log((affinity @ (inner / inner.sum()) + FLOOR) / (affinity @ (outer / outer.sum()) + FLOOR))
    np.testing.assert_allclose(colour_ratio(word, foreground, margin, visible, affinity), ratio, rtol=1e-5)


def test_codebook_of_two_colours() -> None:
    lab = np.zeros((10, 10, 3), np.float32)
    lab[:, 5:] = (53.2, 80.1, 67.2)  # red; the rest is black
    book = build_codebook(lab, 64)
    assert book.affinity.shape == (2, 2)
    np.testing.assert_allclose(book.affinity.sum(0), 1)
    black, red = book.word[0], book.word[31 * 1024]
    assert black != red
    assert book.words_of(np.array([[[255, 0, 0], [0, 0, 0]]], np.uint8)).tolist() == [[red, black]]


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
    regions, other = build_regions(*two_squares(), 50)
    assert other.leaf.shape == (40, 60)
    assert regions.area[: regions.leaves].sum() == regions.area[-1] == 40 * 60
    square, ground = regions.leaf[20, 20], regions.leaf[35, 50]
    assert square != ground
    around = np.array([9.0, 9.0, 31.0, 31.0])
    tree = (regions.runs, 60, regions.parent, regions.area)
    containment = containment_evidence(*tree, around)
    assert containment[square] > 0 > containment[ground]
    fit = tuple_evidence(regions.tuples, regions.parent, around)
    assert fit[square] > 0 > fit[ground]
    aside = np.array([40.0, 30.0, 60.0, 40.0])
    assert containment_evidence(*tree, aside)[square] < 0
    np.testing.assert_allclose(tuple_evidence(regions.tuples, regions.parent, aside + 1000), 0, atol=1e-9)


def test_tuples_against_plain_loops() -> None:
    """The belief of every candidate that overlaps the box goes to all leaves below its members."""
    rng = np.random.default_rng(0)
    strength = rng.integers(0, 60000, (30, 40)).astype(np.uint16)
    regions, _ = build_regions(strength, rng.random((30, 40, 3)).astype(np.float32) * 50, 30)
    tuples, box = regions.tuples, np.array([5.0, 4.0, 25.0, 22.0])
    assert (np.diff(tuples.area) >= 0).all()
    below = [{leaf} if leaf < regions.leaves else set() for leaf in range(len(regions.parent))]
    for node in range(len(regions.parent) - 1):
        below[regions.parent[node]] |= below[node]
    total, believed = NO_CANDIDATE, np.zeros(regions.leaves)
    for member, other, belief in zip(tuples.member, tuples.box.T.astype(float), tuples.belief, strict=True):
        shared = np.clip(np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]), 0, None).prod()
        iou = shared / ((box[2:] - box[:2]).prod() + (other[2:] - other[:2]).prod() - shared)
        if iou >= LEAST_IOU:
            weight = belief * np.exp(SHARPNESS * (iou - 1))
            total += weight
            believed[list(set().union(*(below[node] for node in member if node >= 0)))] += weight
    assert total > 2 * NO_CANDIDATE
    share = (0.5 * NO_CANDIDATE + believed) / total
    wanted = np.log((share + SOFTEN) / (1 - share + SOFTEN))
    np.testing.assert_allclose(tuple_evidence(tuples, regions.parent, box), wanted, atol=1e-4)


def test_mean_by_leaf() -> None:
    value, leaf = np.array([1.0, 3.0, 5.0, 9.0]), np.array([0, 0, 2, 0], np.int32)
    np.testing.assert_allclose(mean_by_leaf(value, leaf, 4), [13 / 3, 0, 5, 0])


def test_best_threshold_maximises_the_expected_iou_over_all_choices() -> None:
    rng = np.random.default_rng(0)
    for shift in (-2, 0, 2):
        evidence = rng.normal(shift, 2, (5, 5)).astype(np.float32)
        levels = np.vectorize(level_of)(evidence)
        p = 1 / (1 + np.exp(-(levels * STEP - REACH)))
        np.testing.assert_allclose(np.log(p / (1 - p)), evidence, atol=0.51 * STEP)

        def expected(level: int, levels: np.ndarray = levels, p: np.ndarray = p) -> float:
            chosen = levels >= level
            return float(p[chosen].sum() / (chosen.sum() + p[~chosen].sum()))

        level, iou = best_threshold(evidence)
        assert iou == pytest.approx(expected(level)) == pytest.approx(max(expected(k) for k in levels.ravel()))


def test_extreme_log_odds_keep_to_the_levels() -> None:
    assert level_of(-1e9) == 0
    assert best_threshold(np.full((4, 4), 1e9, np.float32))[1] == pytest.approx(1, abs=1e-4)
    assert best_threshold(np.full((4, 4), -1e9, np.float32))[1] < 1e-3


def test_quality_rises_with_the_expected_iou() -> None:
    quality = seed_quality(np.linspace(0, 1, 21))
    assert (np.diff(quality) > 0).all()
    assert 0 <= quality[0] < quality[-1] <= 1


def test_cells_take_the_pixels_of_their_centres() -> None:
    assert cell_index(2.0, 6.0, 4, 0, 1.0, 8).tolist() == [2, 3, 4, 5]
    assert cell_index(2.0, 6.0, 4, 1, 1.0, 8).tolist() == [1, 2, 3, 4, 5, 6]
    assert cell_index(-4.0, 4.0, 4, 0, 0.5, 8).tolist() == [0, 0, 0, 1]
    assert seen(-4.0, 4.0, 4, 0, 3).tolist() == [False, False, True, False]


def test_the_halving_that_a_box_reads() -> None:
    assert [halvings(side, 10, 4) for side in (5.0, 15.9, 16.0, 32.0, 1000.0)] == [0, 0, 1, 2, 3]


def test_halved_contours_keep_the_strongest() -> None:
    contour = np.array([[1, 2, 9], [4, 3, 5], [7, 0, 6]], np.float32)
    assert _strongest(contour).tolist() == [[4, 9], [7, 6]]


def test_upsampling_is_bilinear_between_centres() -> None:
    ramp = np.tile(np.arange(4, dtype=np.float32), (4, 1))
    np.testing.assert_allclose(upsampled(ramp, 2)[0], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    np.testing.assert_allclose(upsampled(ramp.T, 2)[:, 0], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])


def test_blur_against_plain_convolution() -> None:
    value = np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    padded = np.pad(value, 2, mode="edge")
    wanted = [[(padded[y : y + 5, x : x + 5] * np.outer(kernel, kernel)).sum() for x in range(7)] for y in range(7)]
    smooth = np.empty_like(value)
    blurred(value, smooth)
    np.testing.assert_allclose(smooth, wanted, rtol=1e-4, atol=1e-5)


def slow_vote(evidence: np.ndarray, confidence: np.ndarray, boxes: np.ndarray, least_iou: float) -> np.ndarray:
    voted, side = evidence.astype(float), evidence.shape[1]
    for i, frame in enumerate(boxes):
        for y, x in np.ndindex(side, side):
            centre = frame[:2] + (np.array([x, y]) + 0.5) / side * (frame[2:] - frame[:2])
            won, cast = 0.0, 0.0
            for j, box in enumerate(boxes):
                shared = np.clip(np.minimum(box[2:], frame[2:]) - np.maximum(box[:2], frame[:2]), 0, None).prod()
                iou = shared / ((box[2:] - box[:2]).prod() + (frame[2:] - frame[:2]).prod() - shared)
                column, row = np.floor((centre - box[:2]) / (box[2:] - box[:2]) * side).astype(int)
                if iou >= least_iou and 0 <= row < side and 0 <= column < side:
                    won += iou**2 * confidence[j] * evidence[j, row, column]
                    cast += iou**2 * confidence[j]
            voted[i, y, x] = won / cast
    return voted


def test_vote_against_plain_loops() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([0.0, 0, 31, 47]) + rng.uniform(-4, 4, (6, 4))
    evidence, confidence = rng.normal(0, 3, (6, 8, 8)).astype(np.float32), rng.random(6)
    for least in (0.5, 0.75):
        wanted = slow_vote(evidence, confidence, boxes, least)
        np.testing.assert_allclose(vote(evidence, confidence, boxes, least), wanted, rtol=1e-3, atol=1e-4)


def test_a_cell_that_no_other_box_reaches_keeps_its_own() -> None:
    boxes = np.array([[0.0, 0, 56, 56], [0, 0, 56, 50]])
    evidence = np.stack([np.full((56, 56), -1), np.full((56, 56), 3)]).astype(np.float32)
    voted = vote(evidence, np.ones(2), boxes, 0.5)
    np.testing.assert_allclose(voted[0, 50:], -1)
    assert (voted[0, :50] > -1).all()


def test_calibration_finds_the_numbers_that_made_the_ious() -> None:
    """IoUs that are what another calibration would say: the fit finds it, whatever the numbers in use."""
    raw = np.linspace(-2, 3, 200)
    in_use = 1 / (1 + np.exp(-(OFFSET + SLOPE * raw)))
    ious = 1 / (1 + np.exp(-(0.3 + 0.8 * raw)))
    judged = Judged(in_use, ious, np.ones(200), np.repeat(np.arange(4), 50))
    np.testing.assert_allclose(calibration(judged), (0.3, 0.8), atol=1e-4)
