"""The whole model, preset by preset, against the formulas in float64: every term and every gradient."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data.parameters import replace as changed
from pdsl.config.load import load_config
from pdsl.model.build import build_model
from pdsl.model.pdsl import PDSL
from pdsl.structures import Sample
from tests.model.release_and_paper import PRESETS, losses
from tests.model.scenes import N_CLASSES, random_sample

CONFIGS = Path(__file__).resolve().parents[2] / "configs/model"
SMALL = {
    "backbone": {"name": "tiny"},
    "box_head": {"hidden": [24, 16]},
    "detection": {"n_r": 2},
    "mask": {"n_m": 2, "convs": 1, "channels": 8},
}


def double(sample: Sample) -> Sample:
    proposals = replace(sample.proposals, box=sample.proposals.box.double(), score=sample.proposals.score.double())
    return replace(sample, image=sample.image.double(), proposals=proposals)


def with_labels(*present: bool) -> Sample:
    return replace(random_sample(), label=torch.tensor(present))


def with_equal_boxes() -> Sample:
    sample = random_sample()
    box = torch.tensor([[0.0, 0.0, 80.0, 64.0]]).expand(30, 4).clone()
    return replace(sample, proposals=replace(sample.proposals, box=box))


def without(part: str) -> Sample:
    sample = random_sample()
    if part == "seeds":
        return replace(sample, seeds=replace(sample.seeds, valid=torch.zeros_like(sample.seeds.valid)))
    return replace(sample, proposals=replace(sample.proposals, valid=torch.zeros_like(sample.proposals.valid)))


IMAGES: dict[str, Callable[[], Sample]] = {
    **{f"random {seed}": lambda seed=seed: random_sample(seed) for seed in range(4)},  # type: ignore[misc]
    "no class": lambda: with_labels(False, False, False, False),
    "all classes": lambda: with_labels(True, True, True, True),
    "one proposal": lambda: random_sample(n_proposals=1, n_seeds=1),
    "one class, one seed": lambda: random_sample(present=1, n_seeds=1),
    "equal boxes": with_equal_boxes,
    "no valid seed": lambda: without("seeds"),
    "no valid proposal": lambda: without("proposals"),
}


def small_model(preset: str, *, loud: bool) -> PDSL:
    """loud: weights several times their size, so that no score is near the others'."""
    config = changed(load_config(CONFIGS / f"{preset.replace('_', '-')}.yaml").model, SMALL)
    model = build_model(config, N_CLASSES).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if loud and "backbone" not in name and parameter.dim() > 1:
                parameter.mul_(4)
    return model


def differences(preset: str, sample: Sample, *, loud: bool) -> tuple[float, float]:
    """Largest difference of a term, of its size or 1; and of a gradient, of the parameter's largest.

    The detection stream's bias has a gradient of 0 but for rounding, which the softmax over proposals cancels: below a
    millionth of the model's largest gradient, that is the scale.
    """
    model, sample = small_model(preset, loud=loud), double(sample)
    ours = model.losses([sample], [None])[0].named()
    theirs = losses(model, sample, PRESETS[preset])
    assert list(ours) == list(theirs)
    values = max(
        abs(float(ours[n].detach() - theirs[n].detach())) / max(1, abs(float(theirs[n].detach()))) for n in ours
    )
    parameters = [p for p in model.parameters() if p.requires_grad]
    one, other = (
        torch.autograd.grad(torch.stack(list(t.values())).sum(), parameters, allow_unused=True, materialize_grads=True)
        for t in (ours, theirs)
    )
    least = 1e-6 * max(1, *(float(b.abs().max()) for b in other))
    pairs = zip(one, other, strict=True)
    gradients = max(float((a - b).abs().max()) / max(float(b.abs().max()), least) for a, b in pairs)
    return values, gradients


@pytest.mark.parametrize("loud", [False, True])
@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("preset", PRESETS)
def test_the_whole_model_is_the_formulas(preset: str, image: str, loud: bool) -> None:
    values, gradients = differences(preset, IMAGES[image](), loud=loud)
    assert values < 1e-11 and gradients < 1e-9
