"""The IoU graph against torchvision, by hand, and on boxes that are none."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchvision.ops import box_iou

from data.records import ImageRecord
from pipeline.spec import StageInput
from stages.iou_graph.stage import build_graph, iou_graph_stage


def reference(boxes: np.ndarray, neighbors: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The definition, from torchvision's matrix of proper boxes, by full sorts."""
    tensor = torch.from_numpy(boxes).double()
    iou = box_iou(tensor, tensor).numpy()
    np.fill_diagonal(iou, 1.0)
    neighbor, value = np.zeros((len(boxes), neighbors), int), np.zeros((len(boxes), neighbors))
    for i, row in enumerate(iou):
        others = sorted((j for j in range(len(boxes)) if j != i), key=lambda j: (-row[j], j))
        for k, j in enumerate([i, *others][:neighbors]):
            if np.float16(row[j]) > 0:
                neighbor[i, k], value[i, k] = j, row[j]
    return neighbor, value.astype(np.float16), (iou >= 0.5).sum(1)


def random_boxes(count: int, seed: int, whole: bool = True) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 300, (count, 2))
    boxes = np.concatenate([low, low + rng.lognormal(4, 0.9, (count, 2)) + 1], 1)
    return (np.round(boxes) if whole else boxes).astype(np.float32)


def test_equals_torchvision_on_many_boxes() -> None:
    for whole in (True, False):
        boxes = random_boxes(300, 0, whole)
        graph = build_graph(boxes, 16)
        neighbor, iou, degree = reference(boxes, 16)
        np.testing.assert_array_equal(graph.neighbor, neighbor)
        np.testing.assert_array_equal(graph.iou, iou)
        np.testing.assert_array_equal(graph.degree, degree)


def test_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30], [5, 0, 15, 10]], np.float32)
    graph = build_graph(boxes, 3)
    assert graph.neighbor.tolist() == [[0, 1, 3], [1, 0, 3], [2, 0, 0], [3, 0, 1]]
    np.testing.assert_allclose(graph.iou[0], [1, 1 / 2, 1 / 3], atol=1e-3)
    np.testing.assert_allclose(graph.iou[1], [1, 1 / 2, 25 / 125], atol=1e-3)
    assert graph.iou[2].tolist() == [1, 0, 0]
    assert graph.degree.tolist() == [2, 2, 1, 1]  # 1/2 counts, itself counts


def test_order_is_decided_before_rounding() -> None:
    # IoU with box 0: 0.50010 and 0.50020, the same in float16; the later box is the nearer one
    boxes = np.array([[0, 0, 10000, 1], [0, 0, 5001, 1], [0, 0, 5002, 1]], np.float32)
    graph = build_graph(boxes, 3)
    assert graph.iou[0, 1] == graph.iou[0, 2]
    assert graph.neighbor[0].tolist() == [0, 2, 1]


def test_equal_boxes_come_by_index_with_itself_first() -> None:
    graph = build_graph(np.tile(np.float32([1, 2, 5, 9]), (6, 1)), 4)
    assert graph.neighbor.tolist() == [
        [0, 1, 2, 3],
        [1, 0, 2, 3],
        [2, 0, 1, 3],
        [3, 0, 1, 2],
        [4, 0, 1, 2],
        [5, 0, 1, 2],
    ]
    assert (graph.iou == 1).all()
    assert (graph.degree == 6).all()


def test_degenerate_boxes_know_only_themselves() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 5, 5, 9], [8, 8, 2, 2], [5, 5, 5, 9], [0, 0, 10, 10]], np.float32)
    graph = build_graph(boxes, 3)
    assert graph.neighbor.tolist() == [[0, 4, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0]]
    assert graph.iou[:, 0].tolist() == [1] * 5
    assert graph.iou[1:4, 1:].max() == 0
    assert graph.degree.tolist() == [2, 1, 1, 1, 2]


def test_no_and_one_proposal() -> None:
    assert build_graph(np.zeros((0, 4), np.float32), 5).neighbor.shape == (0, 5)
    graph = build_graph(np.float32([[0, 0, 2, 2]]), 5)
    assert graph.neighbor.tolist() == [[0] * 5]
    assert graph.iou.tolist() == [[1, 0, 0, 0, 0]]


def test_stage_pads_with_zeros() -> None:
    stage = iou_graph_stage({"neighbors": 4}, 7)
    boxes = np.zeros((7, 4), np.float32)
    boxes[:3] = random_boxes(3, 1)
    arrays = {"proposals/box": boxes, "proposals/count": np.int32(3)}
    rows = stage.compute(StageInput(ImageRecord("a", "a.jpg", (9, 9), ()), None, arrays))
    for spec in stage.arrays:
        assert rows[spec.name].shape == spec.row_shape
        assert rows[spec.name].dtype == spec.dtype
        assert not rows[spec.name][3:].any()
    np.testing.assert_array_equal(rows["iou_graph/neighbor"][:3], build_graph(boxes[:3], 4).neighbor)
    assert not stage.needs_image


@settings(deadline=None, max_examples=30)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 12), st.just(4)), elements=st.integers(-5, 15)),
    st.integers(1, 14),
)
def test_invariants(boxes: np.ndarray, neighbors: int) -> None:
    graph = build_graph(boxes, neighbors)
    assert graph.neighbor.tolist() == [[i, *row[1:]] for i, row in enumerate(graph.neighbor.tolist())]
    assert (np.diff(graph.iou[:, 1:].astype(float), axis=1) <= 0).all()
    assert ((graph.iou >= 0) & (graph.iou <= 1)).all()
    for row, iou in zip(graph.neighbor, graph.iou, strict=True):
        assert len(set(row[iou > 0])) == (iou > 0).sum()
    assert ((graph.degree >= 1) & (graph.degree <= len(boxes))).all()
    if neighbors >= len(boxes):
        dense = np.zeros((len(boxes), len(boxes)), np.float16)
        for i, (row, iou) in enumerate(zip(graph.neighbor, graph.iou, strict=True)):
            dense[i, row[iou > 0]] = iou[iou > 0]
        np.testing.assert_array_equal(dense, dense.T)
