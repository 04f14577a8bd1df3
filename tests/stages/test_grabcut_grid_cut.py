"""The compiled minimum cut against scipy's maximum flow and against all labellings."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import maximum_flow

from stages.grabcut.grid_cut import minimum_cut

SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


def pairs(height: int, width: int) -> list[tuple[int, int, int, int, int]]:
    """(direction, y, x, y2, x2) of all neighbours on the grid."""
    return [
        (d, y, x, y + dy, x + dx)
        for d, (dy, dx) in enumerate(SHIFTS)
        for y in range(height)
        for x in range(width)
        if y + dy < height and 0 <= x + dx < width
    ]


def energy(unary: np.ndarray, pairwise: np.ndarray, label: np.ndarray) -> int:
    cost = -int(unary[label].sum())
    for d, y, x, y2, x2 in pairs(*unary.shape):
        cost += int(pairwise[d, y, x]) * (label[y, x] != label[y2, x2])
    return cost


def least_energy(unary: np.ndarray, pairwise: np.ndarray) -> int:
    """By duality: the maximum flow, less what calling everything foreground would gain."""
    height, width = unary.shape
    source, sink = height * width, height * width + 1
    edges = [(y * width + x, y2 * width + x2, int(pairwise[d, y, x])) for d, y, x, y2, x2 in pairs(height, width)]
    edges += [(b, a, c) for a, b, c in edges]
    edges += [(source, i, max(int(u), 0)) for i, u in enumerate(unary.ravel())]
    edges += [(i, sink, max(-int(u), 0)) for i, u in enumerate(unary.ravel())]
    start, end, capacity = (np.array(v, np.int32) for v in zip(*edges, strict=True))
    graph = coo_matrix((capacity, (start, end)), shape=(sink + 1, sink + 1)).tocsr()
    return int(maximum_flow(graph, source, sink).flow_value) - int(np.maximum(unary, 0).sum())


def test_against_all_labellings_of_a_tiny_grid() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        unary = rng.integers(-6, 7, (3, 3)).astype(np.int32)
        pairwise = rng.integers(0, 5, (4, 3, 3)).astype(np.int32)
        labels = (np.array(bits, bool).reshape(3, 3) for bits in itertools.product((False, True), repeat=9))
        best = min(energy(unary, pairwise, label) for label in labels)
        assert energy(unary, pairwise, minimum_cut(unary, pairwise)) == best


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 4, 60, 20_000]))
def test_against_maximum_flow(seed: int, height: int, width: int, scale: int) -> None:
    rng = np.random.default_rng(seed)
    unary = rng.integers(-3 * scale, 3 * scale + 1, (height, width)).astype(np.int32)
    pairwise = rng.integers(0, scale + 1, (4, height, width)).astype(np.int32)
    label = minimum_cut(unary, pairwise)
    assert energy(unary, pairwise, label) == least_energy(unary, pairwise)


def test_a_full_frame_against_maximum_flow() -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[-1:1:56j, -1:1:56j]
    unary = (1500 * (0.5 - x**2 - y**2) + rng.normal(0, 1500, (56, 56))).astype(np.int32)
    pairwise = rng.integers(20, 900, (4, 56, 56)).astype(np.int32)
    label = minimum_cut(unary, pairwise)
    assert energy(unary, pairwise, label) == least_energy(unary, pairwise)
    np.testing.assert_array_equal(label, minimum_cut(unary, pairwise))


@pytest.mark.parametrize("value", [-1, 0, 1])
def test_without_a_difference_nothing_is_cut(value: int) -> None:
    label = minimum_cut(np.full((5, 7), value, np.int32), np.ones((4, 5, 7), np.int32))
    assert (label == (value > 0)).all()


def test_a_lone_cell_is_smoothed_away_only_if_its_links_are_dearer() -> None:
    unary = np.full((3, 3), -5, np.int32)
    unary[1, 1] = 7
    assert not minimum_cut(unary, np.ones((4, 3, 3), np.int32)).any()
    unary[1, 1] = 9
    assert minimum_cut(unary, np.ones((4, 3, 3), np.int32)).sum() == 1
