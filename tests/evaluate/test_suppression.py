"""Suppression of all classes at once: by hand, and against torchvision class by class and a plain loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import nms

from data.boxes import pairwise_iou
from pdsl.evaluate import suppression
from pdsl.evaluate.suppression import suppress


def by_torchvision(score: Tensor, box: Tensor, alive: Tensor, threshold: float) -> Tensor:
    """Its loop over classes; then by score, equal ones in order of place."""
    kept = [torch.zeros(0, dtype=torch.int64)]
    for label in range(score.shape[1]):
        row = alive[:, label].nonzero()[:, 0]
        kept.append(row[nms(box[row, label], score[row, label], threshold)] * score.shape[1] + label)
    place = torch.cat(kept).sort().values
    return place[score.flatten()[place].argsort(descending=True, stable=True)]


def by_plain_loop(score: Tensor, box: Tensor, alive: Tensor, threshold: float) -> list[int]:
    kept: list[int] = []
    n_classes = score.shape[1]
    flat = box.reshape(-1, 4).numpy()
    for place in np.argsort(-score.flatten().numpy(), kind="stable").tolist():
        rivals = [k for k in kept if k % n_classes == place % n_classes]
        if alive.flatten()[place] and (pairwise_iou(flat[place][None], flat[rivals])[0] <= threshold).all():
            kept.append(place)
    return kept


def scene(rows: int, classes: int, seed: int, crowd: float = 0.2) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes around a few places, among them equal ones and equal scores."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(max(1, int(crowd * rows)), 2, generator=generator) * 200
    centre = centre[torch.randint(len(centre), (rows, classes), generator=generator)]
    centre = centre + 8 * torch.randn(rows, classes, 2, generator=generator)
    half = 3 + 40 * torch.rand(rows, classes, 2, generator=generator)
    box = torch.cat([centre - half, centre + half], -1)
    box[::4] = box[::4].round()
    box[1::7] = box[:1]
    score = torch.rand(rows, classes, generator=generator)
    score[::3] = (score[::3] * 5).round() / 5
    return score, box, torch.rand(rows, classes, generator=generator) < 0.9


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 60),
    classes=st.integers(1, 4),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    most=st.sampled_from([1, 10, 1000]),
    crowd=st.sampled_from([0.02, 0.5]),
    block=st.sampled_from([1, 7, 256]),
    seed=st.integers(0, 10_000),
)
def test_keeps_what_loops_keep(
    rows: int, classes: int, threshold: float, most: int, crowd: float, block: int, seed: int
) -> None:
    score, box, alive = scene(rows, classes, seed, crowd)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suppression, "BLOCK", block)
        kept = suppress(score, box, alive, threshold, most)
    expected = by_torchvision(score, box, alive, threshold)
    assert len(kept) >= min(most, len(expected))
    assert torch.equal(kept, expected[: len(kept)])
    if threshold != 0.3:  # which the plain loop compares in another precision
        assert kept.tolist() == by_plain_loop(score, box, alive, threshold)[: len(kept)]


@pytest.mark.parametrize(("classes", "threshold"), [(20, 0.3), (80, 0.5)])
def test_of_many_boxes(classes: int, threshold: float) -> None:
    """More than torchvision takes in one go."""
    score, box, alive = scene(1500, classes, 3)
    kept = suppress(score, box, alive, threshold, 100)
    assert torch.equal(kept, by_torchvision(score, box, alive, threshold)[: len(kept)]) and len(kept) >= 100


def test_a_chain_longer_than_the_rounds() -> None:
    """Each box overlaps its neighbours only: every second one stays."""
    left = 4.0 * torch.arange(40)
    box = torch.stack([left, torch.zeros(40), left + 10, torch.full((40,), 10.0)], 1)[:, None]
    score = torch.linspace(0.9, 0.1, 40)[:, None]
    assert suppress(score, box, torch.ones(40, 1, dtype=torch.bool), 0.4, 40).tolist() == list(range(0, 40, 2))


def test_an_overlap_of_just_the_threshold_is_none() -> None:
    box = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 3], [0, 0, 10, 3.0001]])[:, None]
    score, alive = torch.tensor([[0.9], [0.8], [0.7]]), torch.ones(3, 1, dtype=torch.bool)
    assert suppress(score, box, alive, float(torch.tensor(0.3)), 9)[:2].tolist() == [0, 1]
    assert suppress(score, box, alive, 0.3, 9).tolist() == by_torchvision(score, box, alive, 0.3).tolist()


def test_slivers_and_equal_boxes() -> None:
    box = torch.tensor([[0, 0, 1e-8, 50], [0, 0, 1e-8, 50], [5, 5, 6, 6], [5, 5, 6, 6], [1e-7, 0, 2e-7, 50]])[:, None]
    score, alive = torch.full((5, 1), 0.5), torch.ones(5, 1, dtype=torch.bool)
    assert suppress(score, box, alive, 0.5, 9).tolist() == [0, 2, 4]
    assert torch.equal(by_torchvision(score, box, alive, 0.5), torch.tensor([0, 2, 4]))


def test_nothing_alive() -> None:
    score, box, _ = scene(9, 2, 0)
    assert suppress(score, box, torch.zeros(9, 2, dtype=torch.bool), 0.5, 100).dtype == torch.int64
    assert not len(suppress(score, box, torch.zeros(9, 2, dtype=torch.bool), 0.5, 100))
