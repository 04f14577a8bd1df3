"""The greedy cover: what it promises, and small cases by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.boxes import pairwise_iou
from stages.grabcut.cover import cover_share, greedy_cover
from stages.iou_graph.stage import build_graph


def cover(boxes: np.ndarray, threshold: float, capacity: int = 1000, neighbors: int = 64) -> list[int]:
    return greedy_cover(boxes, build_graph(boxes, neighbors).neighbor, threshold, capacity).tolist()


def clusters(sizes: list[int]) -> np.ndarray:
    """Groups of nearly equal boxes, far apart."""
    rng = np.random.default_rng(3)
    boxes = [np.float32([100 * g, 0, 100 * g + 50, 50]) + rng.uniform(-1, 1, (n, 4)) for g, n in enumerate(sizes)]
    return np.concatenate(boxes).astype(np.float32)


def test_one_seed_per_cluster_in_order_of_rank() -> None:
    boxes = clusters([2, 5, 3])
    assert cover(boxes, 0.7) == [0, 2, 7]


def test_a_box_in_the_middle_covers_both_sides() -> None:
    boxes = np.float32([[0, 0, 10, 10], [4, 0, 14, 10], [2, 0, 12, 10]])  # neighbours 0-2 and 1-2 overlap by 2/3
    assert cover(boxes, 0.6) == [2]
    assert cover(boxes, 0.7) == [0, 1, 2]


def test_small_capacity_keeps_the_seeds_that_cover_most() -> None:
    boxes = clusters([2, 5, 3])
    assert cover(boxes, 0.7, capacity=2) == [2, 7]


def test_threshold_one_joins_equal_boxes_only() -> None:
    boxes = np.float32([[0, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 8]])
    assert cover(boxes, 1.0) == [0, 2]


def test_degenerate_boxes_cover_themselves() -> None:
    boxes = np.float32([[0, 0, 9, 9], [5, 5, 5, 5], [5, 5, 5, 5]])
    assert cover(boxes, 0.5) == [0, 1, 2]


def test_no_proposals() -> None:
    assert cover(np.zeros((0, 4), np.float32), 0.5) == []


def test_share() -> None:
    boxes = clusters([2, 5, 3])
    assert cover_share(boxes, np.array([2]), 0.7) == pytest.approx(0.5)
    assert cover_share(boxes, np.array([0, 2, 7]), 0.7) == 1
    assert cover_share(boxes[:0], np.zeros(0, int), 0.7) == 1


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 60), st.sampled_from([0.3, 0.5, 0.7, 0.9]), st.sampled_from([2, 8, 64]))
def test_every_proposal_is_covered_even_by_a_truncated_graph(
    seed: int, count: int, threshold: float, neighbors: int
) -> None:
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 12, (count, 2))
    boxes = np.concatenate([low, low + rng.integers(1, 20, (count, 2))], 1).astype(np.float32)
    seeds = cover(boxes, threshold, neighbors=neighbors)
    assert seeds == sorted(set(seeds))
    assert (pairwise_iou(boxes, boxes[seeds]).max(1) >= threshold).all()
    assert seeds == cover(boxes, threshold, neighbors=neighbors)
