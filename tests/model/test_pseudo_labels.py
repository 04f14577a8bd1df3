"""Pseudo boxes, assignment, seeds and mask targets: hand-computed cases, plain loops, the corners."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pdsl.model.boxes import decode, encode, pairwise_iou
from pdsl.model.pseudo_labels import (
    PseudoBoxes,
    assign,
    choose_seeds,
    first_argmax,
    mask_targets,
    propagate,
    sample_foreground,
    top_proposals,
)
from tests.model import reference

FEW = settings(max_examples=25, deadline=None)
SEEDS = st.integers(0, 2**31 - 1)


def random_boxes(seed: int, rows: int) -> Tensor:
    """Boxes on a coarse grid, so that ties and zero areas occur."""
    corner = torch.randint(0, 6, (rows, 2), generator=torch.Generator().manual_seed(seed))
    side = torch.randint(0, 6, (rows, 2), generator=torch.Generator().manual_seed(seed + 1))
    return torch.cat([corner, corner + side], 1).float() * 8


def random_pseudo(seed: int, classes: int) -> tuple[PseudoBoxes, dict[int, list[float]]]:
    box = random_boxes(seed, classes)
    present = torch.rand(classes, generator=torch.Generator().manual_seed(seed)) < 0.6
    pseudo = PseudoBoxes(torch.zeros(classes, dtype=torch.int64), box, torch.ones(classes), present)
    return pseudo, {c: box[c].tolist() for c in range(classes) if present[c]}


def test_first_argmax_takes_the_lower_index_among_equals() -> None:
    x = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [float("nan"), 1.0, 2.0]])
    assert first_argmax(x, 1).tolist() == [1, 0, 0]
    assert first_argmax(x[:2], 0).tolist() == [1, 0, 0]


def test_top_proposals_by_hand() -> None:
    box = torch.arange(12.0).view(3, 4)
    score = torch.tensor([[0.1, 0.9], [0.1, 0.3], [0.8, 0.95]])
    valid = torch.tensor([True, True, False])
    top = top_proposals(score, box, valid, torch.tensor([True, True]))
    assert top.index.tolist() == [0, 0]  # the last one is not valid; ties go to the first
    assert top.score.tolist() == pytest.approx([0.1, 0.9])
    assert top.box.tolist() == [[0, 1, 2, 3], [0, 1, 2, 3]]


@FEW
@given(seed=SEEDS, rows=st.integers(1, 12), classes=st.integers(1, 4))
def test_assignment(seed: int, rows: int, classes: int) -> None:
    box, (pseudo, top) = random_boxes(seed + 2, rows), random_pseudo(seed, classes)
    valid = torch.rand(rows, generator=torch.Generator().manual_seed(seed + 3)) < 0.8
    y = torch.rand(classes, generator=torch.Generator().manual_seed(seed + 4), dtype=torch.float64)
    found = assign(box, valid, pseudo, y, 0.5, (0.0, 0.5))
    labels, weights = reference.assign(box.tolist(), valid.tolist(), top, y.tolist(), classes)
    assert found.label.tolist() == labels
    assert found.weight.tolist() == pytest.approx(weights)
    assert found.foreground.tolist() == [label < classes for label in labels]


def test_assignment_with_an_ignored_band() -> None:
    box = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 4], [0, 0, 10, 0.5], [0, 0, 0, 0]])
    pseudo = PseudoBoxes(torch.tensor([0]), box[:1], torch.ones(1), torch.tensor([True]))
    found = assign(box, torch.ones(4, dtype=torch.bool), pseudo, torch.tensor([0.7]), 0.5, (0.1, 0.45))
    assert found.label.tolist() == [0, 1, 1, 1]
    assert found.weight.tolist() == pytest.approx([0.7, 0.7, 0, 0])  # IoU 1, 0.4, 0.05 and 0


@FEW
@given(seed=SEEDS, rows=st.integers(1, 10), seeds=st.integers(1, 12), n_seed=st.integers(1, 15))
def test_seed_acquisition_and_propagation(seed: int, rows: int, seeds: int, n_seed: int) -> None:
    pseudo, top = random_pseudo(seed, 3)
    seed_box, box = random_boxes(seed + 5, seeds), random_boxes(seed + 7, rows)
    valid = torch.rand(seeds, generator=torch.Generator().manual_seed(seed)) < 0.8
    chosen = choose_seeds(pseudo, seed_box, valid, n_seed)
    expected = reference.choose_seeds(top, seed_box.tolist(), valid.tolist(), n_seed)
    assert set(chosen.nonzero()[:, 0].tolist()) == expected
    seed_of, found = propagate(box, seed_box, chosen)
    if expected:
        assert seed_of.tolist() == reference.propagate(box.tolist(), seed_box.tolist(), expected)
    assert found.tolist() == [bool(expected)] * rows


def test_foreground_sample_keeps_the_nearest_and_counts_the_dropped() -> None:
    box = torch.tensor([[0.0, 0, 10, 6], [0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 10, 9], [0, 0, 10, 10]])
    pseudo = PseudoBoxes(torch.tensor([1]), box[1:2], torch.ones(1), torch.tensor([True]))
    valid = torch.tensor([True, True, True, True, False])
    assignment = assign(box, valid, pseudo, torch.ones(1), 0.5, (0.0, 0.5))
    few = sample_foreground(assignment, valid, 2, everything=False)
    assert few.index.tolist() == [1, 3] and few.taken.all() and int(few.dropped) == 1
    many = sample_foreground(assignment, valid, 4, everything=False)
    assert many.index.tolist()[:3] == [1, 3, 0]
    assert many.taken.tolist() == [True, True, True, False] and int(many.dropped) == 0
    everything = sample_foreground(assignment, valid, 2, everything=True)
    assert everything.index.tolist() == [1, 3, 0, 2, 4]
    assert everything.taken.tolist() == [True, True, True, True, False]


def test_delta_coding_is_invertible() -> None:
    source, target = torch.tensor([[10.0, 10, 30, 50]]), torch.tensor([[12.0, 5, 40, 45]])
    torch.testing.assert_close(decode(source, encode(source, target)), target)
    assert encode(source, source).abs().max() == 0
    assert torch.isfinite(encode(torch.zeros(1, 4), target)).all()


def test_iou_of_degenerate_boxes_is_zero() -> None:
    boxes = torch.tensor([[0.0, 0, 0, 0], [5, 5, 5, 9], [0, 0, 10, 10], [8, 8, 2, 2]])
    assert pairwise_iou(boxes, boxes).tolist() == [[0] * 4, [0] * 4, [0, 0, 1, 0], [0] * 4]


def blob(seed: int, resolution: int = 56) -> np.ndarray:
    """A smooth random box-frame mask."""
    generator = np.random.default_rng(seed)
    y, x = (np.mgrid[:resolution, :resolution] + 0.5) / resolution
    field = sum(
        np.cos(2 * np.pi * (fx * x + fy * y) + generator.uniform(0, 6)) / (1 + fx + fy)
        for fx in range(3)
        for fy in range(3)
    )
    return np.asarray(field > 0)


def paste(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A box-frame mask put into an image by the pixel-centre rule."""
    out = np.zeros(size, bool)
    for row in range(size[0]):
        for column in range(size[1]):
            y = (row + 0.5 - box[1]) / (box[3] - box[1]) * mask.shape[0]
            x = (column + 0.5 - box[0]) / (box[2] - box[0]) * mask.shape[1]
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]:
                out[row, column] = mask[int(y), int(x)]
    return out


def crop(full: np.ndarray, box: np.ndarray, side: int = 28) -> np.ndarray:
    """A full-size mask cropped by a box: at least half of the 4 x 4 points of a cell; outside there is background."""
    out = np.zeros((side, side), bool)
    points = (np.arange(4) + 0.5) / 4
    for row in range(side):
        for column in range(side):
            ys = np.floor(box[1] + (row + points) / side * (box[3] - box[1])).astype(int)
            xs = np.floor(box[0] + (column + points) / side * (box[2] - box[0])).astype(int)
            inside = (ys[:, None] >= 0) & (ys[:, None] < full.shape[0]) & (xs >= 0) & (xs < full.shape[1])
            values = full[ys.clip(0, full.shape[0] - 1)][:, xs.clip(0, full.shape[1] - 1)] & inside
            out[row, column] = values.mean() >= 0.5
    return out


def target_of(frame: list[float], seed_box: np.ndarray, mask: np.ndarray) -> np.ndarray:
    found = mask_targets(
        torch.tensor([frame]),
        torch.tensor(seed_box[None], dtype=torch.float32),
        torch.tensor(mask[None]),
        torch.tensor([0]),
        28,
    )
    return found[0].numpy().astype(bool)


def test_target_of_the_seed_itself_is_its_mask() -> None:
    mask = np.zeros((56, 56), bool)
    mask[:28, 14:42] = True
    expected = np.zeros((28, 28), bool)
    expected[:14, 7:21] = True
    assert (target_of([16, 16, 128, 240], np.array([16.0, 16, 128, 240]), mask) == expected).all()


def test_target_beyond_the_seed_is_background() -> None:
    target = target_of([0, 0, 56, 56], np.array([28.0, 0, 56, 28]), np.ones((56, 56), bool))
    expected = np.zeros((28, 28), bool)
    expected[:14, 14:] = True
    assert (target == expected).all()
    assert not target_of([100, 100, 120, 120], np.array([28.0, 0, 56, 28]), np.ones((56, 56), bool)).any()


@pytest.mark.parametrize("seed", range(4))
def test_target_equals_the_full_size_mask_cropped(seed: int) -> None:
    """Up to resampling: at least 95 % of the cells agree with paste-then-crop."""
    generator = np.random.default_rng(seed)
    seed_box = np.array([40.0, 30, 200, 170]) + generator.uniform(-8, 8, 4)
    frame = (seed_box + generator.uniform(-25, 25, 4)).astype(np.float32)
    mask = blob(seed)
    full = paste(mask, seed_box, (224, 256))
    assert (target_of(frame.tolist(), seed_box, mask) == crop(full, frame)).mean() >= 0.95


@pytest.mark.parametrize("seed", range(4))
def test_target_under_augmentation(seed: int) -> None:
    """Resize, mirror and crop of boxes (masks only mirrored) = the full-size mask transformed, then cropped.

    The boxes leave the crop; the frame is clipped to it, as for pooling. At least 95 % of the cells agree.
    """
    generator = np.random.default_rng(seed)
    height, width, factor = 180, 240, 1.3
    seed_box = np.array([30.0, 20, 190, 150]) + generator.uniform(-8, 8, 4)
    box, mask = seed_box + generator.uniform(-20, 20, 4), blob(seed + 10)
    full = paste(mask, seed_box, (height, width))
    size = (round(height * factor), round(width * factor))
    rows = ((np.arange(size[0]) + 0.5) * height / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(int)
    x0, y0, x1, y1 = 70, 60, size[1] - 20, size[0] - 25
    transformed = full[rows][:, columns][:, ::-1][y0:y1, x0:x1]

    def move(b: np.ndarray) -> np.ndarray:
        scale = np.array([size[1] / width, size[0] / height] * 2)
        left, top, right, bottom = b * scale
        return np.array([size[1] - right - x0, top - y0, size[1] - left - x0, bottom - y0])

    frame = move(box).clip(0, [x1 - x0, y1 - y0] * 2)
    assert (frame != move(box)).any()  # the crop does cut the box
    found = target_of(frame.astype(np.float32).tolist(), move(seed_box), mask[:, ::-1].copy())
    assert (found == crop(transformed, frame)).mean() >= 0.95
