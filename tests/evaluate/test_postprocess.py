"""Clipping, threshold, NMS within classes, the best D: by hand and against a plain loop."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.boxes import pairwise_iou
from pdsl.config.inference import InferenceConfig
from pdsl.evaluate.postprocess import final_boxes, joint_score

SIZE = (100, 100)
CONFIG = InferenceConfig(score_threshold=0.1, nms=0.5, detections=10)


def _boxes(*corners: tuple[float, ...]) -> torch.Tensor:
    """(P, 2, 4): the same box for both classes."""
    return torch.tensor(corners, dtype=torch.float32)[:, None].expand(-1, 2, -1)


def test_nms_within_a_class_only() -> None:
    box = _boxes((0, 0, 40, 40), (2, 0, 42, 40), (60, 60, 90, 90))
    score = torch.tensor([[0.9, 0.2], [0.8, 0.7], [0.3, 0.0]])
    found = final_boxes(score, box, SIZE, CONFIG)
    assert found.label.tolist() == [0, 1, 0]
    assert found.score.tolist() == torch.tensor([0.9, 0.7, 0.3]).tolist()
    assert found.box[1].tolist() == [2, 0, 42, 40]


def test_the_joint_score_is_a_geometric_mean() -> None:
    refined, mil = torch.tensor([[0.9, 0.0], [0.1, 0.5]]), torch.tensor([[0.1, 0.2], [0.4, 0.0]])
    assert joint_score(refined, mil, 0.0) is refined
    torch.testing.assert_close(joint_score(refined, mil, 0.5), torch.tensor([[0.3, 0.0], [0.2, 0.0]]))
    torch.testing.assert_close(joint_score(refined, mil, 0.25)[0, 0], torch.tensor(0.9**0.75 * 0.1**0.25))
    torch.testing.assert_close(joint_score(refined, mil, 1.0), mil)


def test_boxes_are_clipped_and_those_without_area_dropped() -> None:
    found = final_boxes(torch.full((2, 2), 0.5), _boxes((-20, 90, 40, 130), (120, 0, 140, 40)), SIZE, CONFIG)
    assert found.box.tolist() == [[0, 90, 40, 100]] * 2


def test_only_the_best_are_kept() -> None:
    box = torch.arange(30)[:, None, None] * torch.tensor([3.0, 0, 3, 0]) + torch.tensor([0.0, 0, 2, 50])
    found = final_boxes(torch.linspace(0.2, 0.9, 30)[:, None], box, SIZE, CONFIG)
    assert len(found.score) == 10 and found.score.min() > 0.6


def test_nothing_above_the_threshold() -> None:
    found = final_boxes(torch.full((2, 2), 0.1), _boxes((0, 0, 40, 40), (5, 5, 9, 9)), SIZE, CONFIG)
    assert found.box.shape == (0, 4) and found.label.dtype == torch.int64


def test_present_classes_keep_their_best_box_whatever_its_score() -> None:
    box = _boxes((0, 0, 40, 40), (60, 60, 90, 90), (200, 0, 240, 40))
    score = torch.tensor([[0.9, 0.01], [0.8, 0.05], [0.99, 0.5]])
    found = final_boxes(score, box, SIZE, CONFIG, torch.tensor([False, True]))
    assert found.label.tolist() == [1] and found.box.tolist() == [[60, 60, 90, 90]]
    narrow = InferenceConfig(score_threshold=0.1, nms=0.5, detections=2)
    found = final_boxes(score, box, SIZE, narrow, torch.tensor([True, True]))
    assert found.label.tolist() == [0, 1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12))
def test_equals_a_plain_loop(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (n, 2, 2))
    box = np.concatenate([corner, corner + rng.uniform(5, 40, (n, 2, 2))], -1).astype(np.float32)
    score = (rng.permutation(2 * n) / max(1, 2 * n)).reshape(n, 2).astype(np.float32)
    expected = []
    for label in range(2):
        kept: list[int] = []
        for row in np.argsort(-score[:, label]):
            overlaps = pairwise_iou(box[row, label][None], box[kept, label])[0]
            if score[row, label] > 0.1 and (overlaps <= 0.5).all():
                kept.append(int(row))
        expected += [(float(score[row, label]), label) for row in kept]
    found = final_boxes(torch.tensor(score), torch.tensor(box), SIZE, CONFIG)
    assert list(zip(found.score.tolist(), found.label.tolist(), strict=True)) == sorted(expected, reverse=True)[:10]
