"""Eq. 1 to 8 against plain loops in float64, on random inputs and in the corners; gradients; half precision."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pdsl.model import equations
from tests.model import reference

FEW = settings(max_examples=20, deadline=None)
SEEDS = st.integers(0, 2**31 - 1)


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int, scale: float = 2.0) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64) * scale


def close(value: Tensor, expected: float) -> bool:
    return float(value) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@FEW
@given(seed=SEEDS, p=st.integers(1, 9), c=st.integers(1, 5))
def test_proposal_and_image_scores(seed: int, p: int, c: int) -> None:
    class_logit, proposal_logit = normal(seed, p, c), normal(seed + 1, p, c)
    valid = torch.rand(p, generator=rng(seed)) < 0.7
    score = equations.proposal_scores(class_logit, proposal_logit, valid)
    expected = reference.proposal_scores(class_logit.tolist(), proposal_logit.tolist(), valid.tolist())
    torch.testing.assert_close(score, torch.tensor(expected, dtype=torch.float64))
    y = equations.image_scores(score)
    torch.testing.assert_close(y, torch.tensor(reference.image_scores(expected), dtype=torch.float64))
    assert (y >= 0).all() and (y <= 1 + 1e-9).all()


@FEW
@given(seed=SEEDS, c=st.integers(1, 20))
def test_eq2(seed: int, c: int) -> None:
    y = torch.rand(c, generator=rng(seed), dtype=torch.float64)
    t = torch.rand(c, generator=rng(seed + 1)) < 0.3
    assert close(equations.multiple_instance_loss(y, t), reference.multiple_instance_loss(y.tolist(), t.tolist()))


def test_eq2_corners() -> None:
    y = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    t = torch.tensor([True, True, False, False])
    value = equations.multiple_instance_loss(y, t)
    assert close(value, reference.multiple_instance_loss(y.tolist(), t.tolist()))
    assert torch.isfinite(value)
    nothing = equations.multiple_instance_loss(torch.tensor([0.2]), torch.tensor([False]))
    assert float(nothing) == pytest.approx(0.22314355)


@FEW
@given(seed=SEEDS, p=st.integers(1, 8), c=st.integers(1, 4), beta=st.sampled_from([0.0, 0.5, 1.0]))
def test_eq3(seed: int, p: int, c: int, beta: float) -> None:
    logit, delta, target = normal(seed, p, c + 1), normal(seed + 1, p, c, 4), normal(seed + 2, p, 4)
    label = torch.randint(0, c + 1, (p,), generator=rng(seed))
    weight = torch.rand(p, generator=rng(seed), dtype=torch.float64).round(decimals=1)
    found = equations.refinement_loss(logit, label, weight, delta, target, beta)
    expected = reference.refinement_loss(
        logit.tolist(), label.tolist(), weight.tolist(), delta.tolist(), target.tolist(), beta
    )
    assert close(found[0], expected[0])
    assert close(found[1], expected[1])


def test_eq3_all_background_and_certain_scores() -> None:
    logit = torch.tensor([[-1e4, 1e4], [1e4, -1e4]])  # scores 0 and 1
    label, weight = torch.tensor([1, 1]), torch.tensor([1.0, 0.5])
    target = torch.full((2, 4), float("nan"))  # background has no box target
    classification, regression = equations.refinement_loss(logit, label, weight, torch.ones(2, 1, 4), target, 1.0)
    assert float(classification) == pytest.approx(0.5 * 2e4)
    assert float(regression) == 0
    assert float(equations.refinement_loss(logit, label, weight, None, None, 1.0)[1]) == 0


def test_eq1_eq4_eq6_are_sums() -> None:
    one, two, three = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0)
    assert float(equations.objective(one, two, three)) == 6
    assert float(equations.detection_loss(one, [two, three])) == 6
    assert float(equations.detection_loss(one, [])) == 1
    assert float(equations.correlation_loss([two, three])) == 5
    assert float(equations.correlation_loss([])) == 0


@FEW
@given(seed=SEEDS, f=st.integers(1, 5), n_m=st.integers(0, 3), c=st.integers(1, 3), hard=st.booleans())
def test_eq5(seed: int, f: int, n_m: int, c: int, hard: bool) -> None:
    agnostic_logit, specific_logit = normal(seed, f, 1, 3, 3), normal(seed + 1, n_m, f, c, 3, 3)
    target = (torch.rand(f, 3, 3, generator=rng(seed)) < 0.5).double()
    label = torch.randint(0, c + 1, (f,), generator=rng(seed))
    y = torch.rand(f, generator=rng(seed), dtype=torch.float64)
    taken = torch.rand(f, generator=rng(seed + 1)) < 0.7
    everything = [agnostic_logit.tolist(), *specific_logit.tolist()]
    expected = reference.segmentation_losses(
        everything, target.tolist(), taken.tolist(), label.tolist(), y.tolist(), c, hard
    )
    own = label.clamp(max=c - 1)
    chosen = torch.stack([agnostic_logit[:, 0], *(head[torch.arange(f), own] for head in specific_logit)], 1)
    found = equations.segmentation_losses(chosen, target, taken, y * (label < c), "hard" if hard else "soft")
    assert len(found) == n_m + 1
    assert all(close(value, goal) for value, goal in zip(found, expected, strict=True))


def test_eq5_stays_finite_for_certain_masks() -> None:
    logit = torch.tensor([1e4, -1e4]).view(1, 2, 1, 1)
    loss = equations.segmentation_losses(logit, torch.zeros(1, 1, 1), torch.ones(1), torch.ones(1))
    assert [float(value) for value in loss] == [1e4, 1e4]


@FEW
@given(seed=SEEDS, side=st.integers(1, 6), tau=st.floats(0.5, 20))
def test_eq7(seed: int, side: int, tau: float) -> None:
    logit = normal(seed, side, side, scale=5)
    activation = equations.proposal_activation(logit, tau)
    assert close(activation, reference.proposal_activation(logit.tolist(), tau))
    assert logit.sigmoid().mean() - 1e-9 <= activation <= logit.sigmoid().max() + 1e-9


@FEW
@given(seed=SEEDS, f=st.integers(1, 8))
def test_eq8(seed: int, f: int) -> None:
    activation = torch.rand(f, generator=rng(seed), dtype=torch.float64)
    score = torch.rand(f, generator=rng(seed + 1), dtype=torch.float64)
    foreground = torch.rand(f, generator=rng(seed + 2)) < 0.5
    found = equations.activation_correlation(activation, score, foreground, torch.tensor(f + 3))
    expected = reference.activation_correlation(activation.tolist(), score.tolist(), foreground.tolist(), f + 3)
    assert close(found, expected)


def test_eq8_without_proposals_is_zero() -> None:
    zeros = torch.zeros(2)
    assert float(equations.activation_correlation(zeros, zeros, zeros.bool(), torch.tensor(0))) == 0


def test_gradients() -> None:
    """Analytic against numeric gradients, with respect to every prediction."""

    def leaf(seed: int, *shape: int) -> Tensor:
        return normal(seed, *shape, scale=1.0).requires_grad_()

    valid = torch.tensor([True, True, False])
    t = torch.tensor([True, False])

    def image_loss(c: Tensor, d: Tensor) -> Tensor:
        return equations.multiple_instance_loss(equations.image_scores(equations.proposal_scores(c, d, valid)), t)

    assert torch.autograd.gradcheck(image_loss, (leaf(0, 3, 2), leaf(1, 3, 2)))

    label, weight, goal = torch.tensor([0, 1, 2]), torch.tensor([0.5, 0.2, 0.9]).double(), normal(2, 3, 4)

    def refinement(logit: Tensor, delta: Tensor) -> Tensor:
        return sum(equations.refinement_loss(logit, label, weight, delta, goal, 1.0))

    assert torch.autograd.gradcheck(refinement, (leaf(3, 3, 3), leaf(4, 3, 2, 4)))

    target = (normal(5, 2, 2, 2) > 0).double()
    weights = torch.tensor([1.0, 0.3]).double()

    def segmentation(logit: Tensor) -> Tensor:
        return sum(equations.segmentation_losses(logit, target, weights, weights, "hard"))

    assert torch.autograd.gradcheck(segmentation, (leaf(6, 2, 3, 2, 2),))

    def correlation(logit: Tensor, score: Tensor) -> Tensor:
        activation = equations.proposal_activation(logit, 5.0)
        return equations.activation_correlation(activation, score, weights, torch.tensor(3))

    assert torch.autograd.gradcheck(correlation, (leaf(7, 2, 2, 2), leaf(8, 2)))


def test_self_training_targets_are_constants() -> None:
    logit = normal(0, 2, 3, 2, 2).requires_grad_()
    losses = equations.segmentation_losses(logit, torch.zeros(2, 2, 2), torch.ones(2), torch.ones(2), "soft")
    losses[2].backward()
    assert logit.grad is not None
    assert (logit.grad[:, 1] == 0).all()
    assert (logit.grad[:, 2] != 0).any()


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e30])
def test_finite_in_bfloat16(scale: float) -> None:
    """Losses and gradients are finite, however large the logits that bf16 delivers."""

    def leaf(*shape: int) -> Tensor:
        values = torch.randn(*shape, generator=rng(len(shape))).clamp(-1, 1) * scale
        return values.to(torch.bfloat16).requires_grad_()

    c, d = leaf(4, 3), leaf(4, 3)
    score = equations.proposal_scores(c, d, torch.ones(4, dtype=torch.bool))
    mil = equations.multiple_instance_loss(equations.image_scores(score), torch.tensor([True, False, True]))
    logit = leaf(4, 4)
    label, weight = torch.tensor([0, 1, 2, 3]), torch.rand(4)
    refinement, _ = equations.refinement_loss(logit, label, weight, None, None, 1.0)
    mask_logit = leaf(4, 3, 2, 2)
    masks = equations.segmentation_losses(mask_logit, torch.ones(4, 2, 2), weight, weight)
    activation = equations.proposal_activation(mask_logit[:, 1], 5.0)
    correlation = equations.activation_correlation(activation, score[:, 0], weight, torch.tensor(4))
    terms = [mil, refinement / scale, *(m / scale for m in masks), correlation]
    assert all(term.dtype == torch.float32 and torch.isfinite(term) for term in terms)
    torch.stack(terms).sum().backward()
    assert all(torch.isfinite(x.grad).all() for x in (c, d, logit, mask_logit) if x.grad is not None)
