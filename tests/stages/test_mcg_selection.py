"""Grouping, features, ranking, selection and masks against plain-loop references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from data.boxes import pairwise_iou
from data.masks import to_box_frame, unpack
from stages.proposals.mcg.masks import box_masks
from stages.proposals.mcg.selection import FULL_IOU, LEAST_IOU, find_overlaps, merge_duplicates, select
from stages.regions.criterion import MergeCriterion
from stages.regions.equal_rows import equal_rows, row_keys
from stages.regions.features import describe, join
from stages.regions.graph import build_region_graph
from stages.regions.grouping import group_regions
from stages.regions.hierarchy import build_hierarchy
from stages.regions.ranking import WEIGHTS, box_agreement, contour_in_boxes, log_intensity, rank_features
from stages.regions.region_tree import build_tree
from stages.regions.tuple_counts import TupleCounts
from tests.stages.test_mcg_hierarchy import node_masks, random_tree

ALL = TupleCounts(singles=10_000, pairs=10_000, triplets=10_000, quadruplets=10_000)


def random_boxes(seed: int, count: int, side: float = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, side, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(1, side / 2, (count, 2))], 1).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_tuples_are_disjoint_connected_and_distinct(seed: int) -> None:
    leaf_map, tree = random_tree(seed, leaves=12)
    masks = node_masks(leaf_map, tree)
    member = group_regions(tree, ALL)
    assert member[0].tolist() == [len(tree.parent) - 1, -1, -1, -1]
    tuples = [frozenset(row[row >= 0].tolist()) for row in member]
    assert len(set(tuples)) == len(tuples)
    for row, nodes in zip(member, tuples, strict=True):
        assert len(nodes) == (row >= 0).sum()
        parts = masks[sorted(nodes)]
        assert parts.sum(0).max() == 1
        assert ndimage.label(parts.any(0))[1] == 1


def test_every_pair_of_neighbours_in_some_partition_is_found() -> None:
    leaf_map, tree = random_tree(5, leaves=8)
    expected = set()
    partition = {len(tree.parent) - 1}
    for node in range(len(tree.parent) - 1, tree.leaves - 1, -1):
        children = set(tree.child[node].tolist())
        partition = (partition - {node}) | children
        for x in children:
            expected |= {frozenset([x, y]) for y in partition - children if tree.shared[x, y] > 0}
    member = group_regions(tree, ALL)
    pairs = {frozenset(row[:2].tolist()) for row in member if row[1] >= 0 and row[2] < 0}
    assert pairs == expected
    assert leaf_map.max() == 7


def test_counts_limit_each_kind() -> None:
    _, tree = random_tree(1, leaves=25)
    member = group_regions(tree, TupleCounts(5, 6, 7, 8))
    assert np.bincount((member >= 0).sum(1)).tolist() == [0, 5, 6, 7, 8]


def test_features_equal_those_of_the_masks() -> None:
    leaf_map, tree = random_tree(2, leaves=9)
    masks = node_masks(leaf_map, tree)
    member = group_regions(tree, ALL)
    found = describe(tree, member, (2.0, 3.0), 1)
    for row in range(0, len(member), 7):
        nodes = member[row][member[row] >= 0]
        mask = masks[nodes].any(0)
        ys, xs = np.nonzero(mask)
        box = np.array([2 * xs.min(), 3 * ys.min(), 2 * (xs.max() + 1), 3 * (ys.max() + 1)])
        assert found.box[row].tolist() == box.tolist()
        assert found.regions[row] == len(nodes)
        assert found.fill[row] == pytest.approx(mask.sum() * 6 / ((box[2] - box[0]) * (box[3] - box[1])))
        framed = np.pad(mask, 1)
        outline = (framed[:, 1:] != framed[:, :-1]).sum() + (framed[1:] != framed[:-1]).sum()
        assert found.compactness[row] == pytest.approx(np.log(outline**2 / mask.sum()))
        assert found.last_merge[row] == max(tree.altitude[tree.parent[nodes]])
    assert (found.inner[found.regions == 1] == 0).all()
    assert (found.inner[found.regions > 1] > 0).all()


def test_whole_image_has_no_outline() -> None:
    _, tree = random_tree(2, leaves=9)
    root = describe(tree, group_regions(tree, TupleCounts(1, 0, 0, 0)), (1.0, 1.0), 0)
    assert root.box.tolist() == [[0, 0, 24, 24]]
    assert root.outline.tolist() == [0]
    assert root.fill.tolist() == [1]


def test_contour_in_boxes_equals_slices() -> None:
    contour = np.random.default_rng(0).random((20, 30))
    box = np.array([[5, 5, 15, 15], [0, 0, 30, 20]], float)
    inside, middle, ring = contour_in_boxes(contour, box, (20, 30))
    assert inside == pytest.approx([contour[5:15, 5:15].mean(), contour.mean()])
    assert middle[0] == pytest.approx(contour[7:13, 7:13].mean())
    assert ring[0] == pytest.approx((contour[3:17, 3:17].sum() - contour[5:15, 5:15].sum()) / (14 * 14 - 100))
    assert ring[1] == 0


def test_agreement_counts_boxes_of_one_cell() -> None:
    box = np.array([[1, 1, 11, 11], [1.2, 1, 11, 11.1], [50, 50, 60, 60]], float)
    assert box_agreement(box, 0.3).tolist() == [2, 2, 1]


def test_row_keys_tell_rows_apart() -> None:
    rows = np.array([[a, b] for a in range(-30, 30) for b in range(-30, 30)])
    assert len(np.unique(row_keys(rows))) == len(rows)
    assert (row_keys(rows) == row_keys(rows.copy())).all()


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), max_size=60))
def test_equal_rows_are_numbered_as_they_first_occur(rows: list[tuple[int, int]]) -> None:
    seen = list(dict.fromkeys(rows))
    first, group = equal_rows(np.array(rows, float).reshape(-1, 2))
    assert first.tolist() == [rows.index(row) for row in seen]
    assert group.tolist() == [seen.index(row) for row in rows]


def test_weights_name_existing_features() -> None:
    _, tree = random_tree(4)
    candidates = join([describe(tree, group_regions(tree, ALL), (1.0, 1.0), i) for i in range(2)])
    contour = np.random.default_rng(0).random((12, 12)).astype(np.float32)
    features = rank_features(candidates, (24, 24), contour)
    assert set(WEIGHTS) <= set(features)
    assert all(f.shape == (len(candidates.box),) and np.isfinite(f).all() for f in features.values())
    said = sum(weight * features[name] for name, weight in WEIGHTS.items())
    assert log_intensity(candidates, (24, 24), contour) == pytest.approx(said)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_overlaps_are_all_pairs_above_one_half(seed: int, count: int) -> None:
    box = random_boxes(seed, count, 20)
    overlaps = find_overlaps(box)
    iou = pairwise_iou(box, box)
    for i in range(count):
        mine = slice(overlaps.start[i], overlaps.start[i + 1])
        assert sorted(overlaps.other[mine]) == np.flatnonzero(iou[i] > LEAST_IOU).tolist()
        np.testing.assert_allclose(overlaps.iou[mine], iou[i, overlaps.other[mine]], rtol=1e-5)


def test_more_pairs_than_were_expected() -> None:
    """Boxes that all overlap each other: the columns of pairs grow, more than once."""
    box = np.array([[0, 0, 100 + i % 7, 100 + i // 7] for i in range(140)], np.float32)
    overlaps = find_overlaps(box)
    assert np.diff(overlaps.start).tolist() == [140] * 140
    assert all(sorted(row) == list(range(140)) for row in overlaps.other.reshape(140, 140))
    assert all(overlaps.iou.reshape(140, 140)[:, 0] == 1)


def naive_selection(box: np.ndarray, weight: np.ndarray, limit: int) -> list[int]:
    credit = np.sqrt(np.clip((pairwise_iou(box, box) - LEAST_IOU) / (FULL_IOU - LEAST_IOU), 0, 1))
    covered, chosen = np.zeros(len(box)), []
    while len(chosen) < min(limit, len(box)):
        gain = (weight * np.maximum(credit - covered, 0)).sum(1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        covered = np.maximum(covered, credit[chosen[-1]])
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_selection_equals_the_naive_greedy_one(seed: int) -> None:
    box = random_boxes(seed, 60, 25)
    weight = np.random.default_rng(seed).random(60)
    kept, merged = merge_duplicates(box, weight, 60)
    chosen, gain = select(box, weight, 15, 60)
    assert chosen.tolist() == kept[naive_selection(box[kept], merged, 15)].tolist()
    assert (np.diff(gain) <= 1e-12).all()


def test_duplicates_add_up_and_the_heaviest_stays() -> None:
    box = np.array([[0, 0, 10, 10], [50, 50, 90, 90], [0.1, 0, 10, 10]], np.float32)
    kept, merged = merge_duplicates(box, np.array([1.0, 4.0, 2.0]), 10)
    assert kept.tolist() == [1, 2]
    assert merged.tolist() == [4, 3]


def test_many_weak_neighbours_beat_one_strong_outsider() -> None:
    cluster = np.array([[i, 0, 100 + i, 100] for i in range(0, 20, 2)], np.float32)
    box = np.concatenate([cluster, [[300, 300, 400, 400]]]).astype(np.float32)
    chosen, _ = select(box, np.array([0.3] * 10 + [1.0]), 2, 100)
    assert chosen[1] == 10
    assert 2 <= chosen[0] <= 7  # the middle of the cluster


def test_mask_is_the_region_with_its_hole_filled() -> None:
    labels = np.ones((40, 40), np.int32)
    labels[5:25, 10:30] = 0
    labels[10:20, 15:25] = 2  # inside 0
    graph = build_region_graph(labels, 3, np.ones((40, 40), np.float32), np.zeros((40, 40, 3), np.float32))
    tree = build_tree(graph, build_hierarchy(graph, MergeCriterion(0.0, 0.0, 99), 1600))
    leaf = int(tree.leaf_of[0])
    member = np.array([[leaf, -1, -1, -1], [int(tree.leaf_of[1]), -1, -1, -1]], np.int32)
    box = np.array([[20, 10, 60, 50], [0, 0, 80, 80]], np.float32)
    masks = unpack(box_masks(tree, labels, member, box, (2.0, 2.0)))
    assert masks[0].all()
    outside = np.ones((80, 80), bool)
    outside[10:50, 20:60] = False  # a hole as well: it does not reach the frame
    assert masks[1].all()
    assert not to_box_frame(outside, box[1]).all()


def test_mask_cells_follow_the_shared_sampling_rule() -> None:
    leaf_map, tree = random_tree(6, leaves=15)
    masks = node_masks(leaf_map, tree)
    leaves = np.arange(tree.leaves)
    member = np.full((tree.leaves, 4), -1, np.int32)
    member[:, 0] = leaves
    drawn = unpack(box_masks(tree, _labels_of(tree, leaf_map), member, tree.box[leaves].astype(np.float32), (1.0, 1.0)))
    for leaf in leaves:
        filled = _fill_holes(masks[leaf])
        assert (drawn[leaf] == to_box_frame(filled, tree.box[leaf].astype(float))).all()


def _labels_of(tree, leaf_map: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    """A label map whose superpixels are the first ones of each leaf."""
    first = np.array([np.flatnonzero(tree.leaf_of == leaf)[0] for leaf in range(tree.leaves)])
    return first[leaf_map].astype(np.int32)


def _fill_holes(mask: np.ndarray) -> np.ndarray:
    """The region and all 4-connected background that does not reach the frame."""
    background, count = ndimage.label(~mask)
    frame = np.unique(np.concatenate([background[0], background[-1], background[:, 0], background[:, -1]]))
    holes = np.isin(background, np.setdiff1d(np.arange(1, count + 1), frame))
    return mask | holes
