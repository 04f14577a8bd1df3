"""Superpixels, region graph, agglomeration and tree against hand-computed cases and plain-loop references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from stages.regions.criterion import MergeCriterion
from stages.regions.graph import RegionGraph, build_region_graph
from stages.regions.hierarchy import build_hierarchy
from stages.regions.region_tree import RegionTree, build_tree
from stages.regions.watershed import watershed

SIDES = st.tuples(st.integers(1, 9), st.integers(1, 9))
CONTOURS = SIDES.flatmap(lambda shape: arrays(np.uint16, shape, elements=st.integers(0, 6)))


def graph_of(contour: np.ndarray, seed: int = 0) -> tuple[np.ndarray, RegionGraph]:
    labels, count = watershed(contour)
    lab = np.random.default_rng(seed).random((*contour.shape, 3), np.float32)
    return labels, build_region_graph(labels, count, contour.astype(np.float32) + seed / 7, lab)


def random_tree(seed: int, leaves: int = 30, side: int = 24) -> tuple[np.ndarray, RegionTree]:
    contour = np.random.default_rng(seed).integers(0, 1000, (side, side)).astype(np.uint16)
    labels, graph = graph_of(contour, seed)
    tree = build_tree(graph, build_hierarchy(graph, MergeCriterion(0.5, 0.3, leaves), labels.size))
    return tree.leaf_of[labels], tree


def node_masks(leaf_map: np.ndarray, tree: RegionTree) -> np.ndarray:
    masks = np.zeros((len(tree.parent), *leaf_map.shape), bool)
    for leaf in range(tree.leaves):
        masks[leaf] = leaf_map == leaf
    for node in range(tree.leaves, len(tree.parent)):
        a, b = tree.child[node]
        masks[node] = masks[a] | masks[b]
    return masks


def test_two_basins_meet_at_the_ridge() -> None:
    labels, count = watershed(np.array([[1, 2, 9, 1, 0]], np.uint16))
    assert count == 2
    assert labels.tolist() == [[0, 0, 1, 1, 1]]  # the ridge pixel flows to its lower neighbour, on the right


def test_a_flat_map_is_one_basin() -> None:
    labels, count = watershed(np.zeros((5, 7), np.uint16))
    assert count == 1
    assert not labels.any()


@settings(deadline=None, max_examples=40)
@given(CONTOURS)
def test_basins_are_connected_and_numbered_in_scan_order(contour: np.ndarray) -> None:
    labels, count = watershed(contour)
    first = [int(np.flatnonzero(labels.ravel() == i)[0]) for i in range(count)]
    assert first == sorted(first)
    assert all(ndimage.label(labels == i)[1] == 1 for i in range(count))


def test_region_graph_of_two_halves() -> None:
    labels = np.array([[0, 0, 1], [0, 0, 1]], np.int32)
    contour = np.array([[0, 1, 3], [0, 2, 4]], np.float32)
    graph = build_region_graph(labels, 2, contour, np.ones((2, 3, 3), np.float32))
    assert graph.edge.tolist() == [[0, 1]]
    assert graph.length.tolist() == [2]
    assert graph.contour.tolist() == [(1 + 3) / 2 + (2 + 4) / 2]
    assert graph.area.tolist() == [4, 2]
    assert graph.colour.tolist() == [[4] * 3, [2] * 3]
    assert graph.box.tolist() == [[0, 0, 2, 2], [2, 0, 3, 2]]
    assert graph.border.tolist() == [6, 4]  # sides of pixels on the frame


@settings(deadline=None, max_examples=25)
@given(CONTOURS)
def test_region_graph_counts_every_pair_of_neighbouring_pixels(contour: np.ndarray) -> None:
    labels, graph = graph_of(contour)
    apart = int((labels[:, 1:] != labels[:, :-1]).sum() + (labels[1:] != labels[:-1]).sum())
    assert graph.length.sum() == apart
    assert graph.area.sum() == labels.size
    assert graph.border.sum() == 2 * sum(labels.shape)
    assert (graph.edge[:, 0] < graph.edge[:, 1]).all()


def naive_agglomeration(graph: RegionGraph, criterion: MergeCriterion, area: int) -> list[tuple[frozenset, float]]:
    """The regions formed, in order, each with its altitude, by looking at all pairs before each merge."""
    groups = [frozenset([i]) for i in range(len(graph.area))]
    formed, highest = [], 0.0
    while len(groups) > 1:
        best = None
        for i, a in enumerate(groups):
            for b in groups[i + 1 :]:
                across = [e for e, (u, v) in enumerate(graph.edge) if (u in a and v in b) or (u in b and v in a)]
                if not across:
                    continue
                areas = [graph.area[list(g)].sum() for g in (a, b)]
                colours = [graph.colour[list(g)].sum(0) / s for g, s in zip((a, b), areas, strict=True)]
                mean = graph.contour[across].sum() / graph.length[across].sum()
                colour = criterion.color * np.linalg.norm(colours[0] - colours[1])
                cost = (mean + colour) * (min(areas) / (area / 100)) ** criterion.size
                if best is None or cost < best[0]:
                    best = (cost, a, b)
        cost, a, b = best
        highest = max(highest, cost)
        groups = [g for g in groups if g not in (a, b)] + [a | b]
        formed.append((a | b, highest))
    return formed


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("criterion", [MergeCriterion(0.5, 0.3, 999), MergeCriterion(0.0, 0.0, 999)])
def test_agglomeration_equals_the_naive_one(seed: int, criterion: MergeCriterion) -> None:
    contour = np.random.default_rng(seed).integers(0, 1000, (9, 8)).astype(np.uint16)
    labels, graph = graph_of(contour, seed)
    hierarchy = build_hierarchy(graph, criterion, labels.size)
    regions = {i: frozenset([i]) for i in range(len(graph.area))}
    for node, parent in enumerate(hierarchy.parent[:-1]):
        regions[int(parent)] = regions.get(int(parent), frozenset()) | regions[node]
    expected = naive_agglomeration(graph, criterion, labels.size)
    got = [(regions[node], hierarchy.altitude[node]) for node in range(len(graph.area), len(regions))]
    assert [r for r, _ in got] == [r for r, _ in expected]
    np.testing.assert_allclose([a for _, a in got], [a for _, a in expected], rtol=1e-9)


def test_size_term_merges_small_regions_first() -> None:
    labels = np.array([[0] * 6 + [1] * 6 + [2]], np.int32)
    contour = np.array([[0, 0, 0, 0, 0, 4, 4, 0, 0, 0, 0, 5, 5]], np.float32)
    graph = build_region_graph(labels, 3, contour, np.zeros((1, 13, 3), np.float32))
    plain = build_hierarchy(graph, MergeCriterion(0.0, 0.0, 99), 13)
    sized = build_hierarchy(graph, MergeCriterion(0.5, 0.0, 99), 13)
    assert plain.parent.tolist() == [3, 3, 4, 4, 4]  # contour 4 before contour 5
    assert sized.parent.tolist() == [4, 3, 3, 4, 4]  # the single pixel first


def test_cut_keeps_the_last_merges() -> None:
    leaf_map, tree = random_tree(3, leaves=7)
    assert tree.leaves == 7
    assert len(tree.parent) == 13
    assert sorted(np.unique(leaf_map)) == list(range(7))
    assert (tree.parent[:-1] > np.arange(12)).all()
    assert (np.diff(tree.altitude[7:]) >= 0).all()


def test_one_region_gives_a_tree_of_one_node() -> None:
    labels, graph = graph_of(np.zeros((3, 4), np.uint16))
    tree = build_tree(graph, build_hierarchy(graph, MergeCriterion(0.5, 0.3, 100), labels.size))
    assert tree.parent.tolist() == [0]
    assert tree.box.tolist() == [[0, 0, 4, 3]]
    assert tree.perimeter.tolist() == [0]


@pytest.mark.parametrize("seed", range(3))
def test_tree_geometry_equals_that_of_the_masks(seed: int) -> None:
    leaf_map, tree = random_tree(seed)
    masks = node_masks(leaf_map, tree)
    assert tree.area.tolist() == masks.sum((1, 2)).tolist()
    for node, mask in enumerate(masks):
        ys, xs = np.nonzero(mask)
        assert tree.box[node].tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert tree.perimeter[node] == (mask[:, 1:] != mask[:, :-1]).sum() + (mask[1:] != mask[:-1]).sum()
        for other, disjoint in enumerate(masks):
            if not (mask & disjoint).any():
                touching = (mask[:, 1:] & disjoint[:, :-1]).sum() + (mask[:, :-1] & disjoint[:, 1:]).sum()
                touching += (mask[1:] & disjoint[:-1]).sum() + (mask[:-1] & disjoint[1:]).sum()
                assert tree.shared[node, other] == touching
