"""The assembled model: all ablations run, invalid proposals do not count, results do not depend on the batch."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.ops import roi_pool

from data.parameters import replace
from pdsl.config.model import ModelConfig
from pdsl.model.boxes import clip
from pdsl.model.build import build_model
from pdsl.model.equations import proposal_scores
from pdsl.model.heads import TwoStreamHead, detection_heads
from pdsl.model.losses import LossTerms
from pdsl.model.pdsl import PDSL
from pdsl.structures import Proposals, Sample, Seeds
from tests.model.scenes import N_CLASSES, generators, random_sample, small_config


def names(n_r: int, n_m: int) -> set[str]:
    heads = {f"refine{r}.{kind}" for r in range(1, n_r + 1) for kind in ("class", "box")}
    return {"mil"} | heads | {f"mask{m}" for m in range(n_m + 1)} | {f"correlation{m}" for m in range(1, n_m + 1)}


def gradient(model: PDSL) -> Tensor:
    parts = [p.grad.flatten() if p.grad is not None else torch.zeros(p.numel()) for p in model.parameters()]
    return torch.cat(parts)


def backward(model: PDSL, terms: list[LossTerms]) -> Tensor:
    model.zero_grad()
    torch.stack([t.total() for t in terms]).mean().backward()
    return gradient(model)


@pytest.mark.parametrize(("n_r", "n_m"), [(n, 2) for n in range(6)] + [(2, n) for n in range(6)] + [(0, 0)])
def test_every_number_of_heads_trains_and_predicts(n_r: int, n_m: int) -> None:
    model = build_model(small_config(n_r, n_m), N_CLASSES)
    terms = model.losses([random_sample()], generators(0))[0]
    named = terms.named()
    assert set(named) == names(n_r, n_m)
    assert all(term.shape == () and torch.isfinite(term) for term in named.values())
    torch.testing.assert_close(terms.total(), torch.stack(list(named.values())).sum())
    backward(model, [terms])
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert not [name for name, p in model.named_parameters() if p.grad is None]
    model.eval()
    with torch.no_grad():
        sample = random_sample()
        output = model.detect(sample.image, sample.proposals)
        masks = model.segment(output.features, output.box[:3, 1], torch.tensor([1, 1, 1]))
    assert output.score.shape == (30, N_CLASSES) and output.box.shape == (30, N_CLASSES, 4)
    assert (output.score[~sample.proposals.valid] == 0).all()
    assert masks.shape == (3, 28, 28) and (masks >= 0).all() and (masks <= 1).all()


VARIANTS: dict[str, dict[str, Any]] = {
    "as printed": {"normalisation": "as_printed"},
    "release": {"normalisation": "release"},
    "mean": {"detection": {"mil_reduction": "mean"}},
    "ignored band": {"detection": {"background_iou": [0.1, 0.4]}},
    "no regression": {"detection": {"regression": False}},
    "L1, pseudo boxes are proposals": {"detection": {"smooth_l1_beta": 0, "pseudo_box": "proposal"}},
    "objectness": {"box_head": {"objectness": True}},
    "chunked": {"box_head": {"chunk": 7}},
    "all proposals": {"mask": {"proposals": "all"}},
    "no capacity": {"mask": {"capacity": None}},
    "release's mask branch": {"mask": {"weighting": "none", "seed_pool": "foreground", "labels": "predictions"}},
    "soft": {"mask": {"self_training": "soft", "n_seed": 1}},
    "trunk of head 0": {"mask": {"trunk_gradient": "agnostic"}},
    "cascade": {"mask": {"source": "cascade"}},
    "cascade, chunked": {"mask": {"source": "cascade"}, "box_head": {"chunk": 7}},
    "cascade without refinement": {"mask": {"source": "cascade"}, "detection": {"n_r": 0}},
    "no correlation": {"correlation": {"enabled": False}},
    "no self-training": {"mask": {"n_m": 0}},
    "release's correlation": {"correlation": {"target": "pseudo_box", "gradient": False, "class_agnostic": True}},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_option_trains(variant: str) -> None:
    model = build_model(replace(small_config(), VARIANTS[variant]), N_CLASSES)
    terms = model.losses([random_sample()], generators(0))[0]
    assert torch.isfinite(backward(model, [terms])).all()
    if variant == "no correlation":
        assert not any(name.startswith("correlation") for name in terms.named())
    if variant == "release's correlation":
        assert "correlation0" in terms.named()


@pytest.mark.parametrize(
    "sample",
    [
        random_sample(present=0),
        random_sample(n_proposals=1, n_seeds=1),
        random_sample(n_seeds=0),
        random_sample(n_proposals=0, n_seeds=0),
        dataclasses.replace(
            random_sample(),
            proposals=dataclasses.replace(random_sample().proposals, valid=torch.zeros(30, dtype=torch.bool)),
        ),
        dataclasses.replace(
            random_sample(), proposals=dataclasses.replace(random_sample().proposals, box=torch.zeros(30, 4))
        ),
    ],
    ids=["no class", "one proposal", "no seeds", "no proposals", "nothing valid", "no areas"],
)
def test_corners_have_finite_losses(sample: Sample) -> None:
    model = build_model(small_config(), N_CLASSES)
    terms = model.losses([sample], generators(0))[0]
    assert all(torch.isfinite(term) for term in terms.named().values())
    assert torch.isfinite(backward(model, [terms])).all()
    if not sample.label.any() or not sample.proposals.valid.any():
        assert all(value.item() == 0 for name, value in terms.named().items() if name != "mil")


def test_the_corner_of_no_valid_proposal_costs_nothing() -> None:
    sample = random_sample()
    sample.proposals.valid[:] = False
    terms = build_model(small_config(), N_CLASSES).losses([sample], generators(0))[0]
    assert terms.total().item() == 0


def test_padding_changes_nothing() -> None:
    """More padding of proposals and seeds, with any content: the same terms."""
    model = build_model(small_config(), N_CLASSES)
    sample = random_sample(n_proposals=20)
    more = Sample(
        image=sample.image,
        label=sample.label,
        proposals=Proposals(
            torch.cat([sample.proposals.box, torch.full((5, 4), 7.0)]),
            torch.cat([sample.proposals.score, torch.ones(5)]),
            torch.cat([sample.proposals.valid, torch.zeros(5, dtype=torch.bool)]),
        ),
        seeds=Seeds(
            torch.cat([sample.seeds.index, torch.tensor([21, 0])]),
            torch.cat([sample.seeds.mask, torch.ones(2, 56, 56, dtype=torch.bool)]),
            torch.cat([sample.seeds.valid, torch.zeros(2, dtype=torch.bool)]),
        ),
        row=0,
        image_id="0",
    )
    first, second = (model.losses([s], [None])[0].named() for s in (sample, more))
    for name in first:
        torch.testing.assert_close(first[name], second[name], msg=name)


def test_losses_do_not_depend_on_the_batch() -> None:
    """Four images at once (two of equal size) or one by one, with dropout: the same terms and the same gradient."""
    samples = [random_sample(s, size=size) for s, size in enumerate([(64, 80), (48, 64), (64, 80), (56, 56)])]
    model = build_model(small_config(), N_CLASSES)
    together = model.losses(samples, generators(1, 2, 3, 4))
    gradient_together = backward(model, together)
    model.zero_grad()
    alone = []
    for sample, generator in zip(samples, generators(1, 2, 3, 4), strict=True):
        alone.append(model.losses([sample], [generator])[0])
        (alone[-1].total() / len(samples)).backward()
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.named(), other.named())
    torch.testing.assert_close(gradient_together, gradient(model), rtol=1e-4, atol=1e-6)


def test_dropout_draws_from_the_images_generator_only() -> None:
    model, sample = build_model(small_config(), N_CLASSES), random_sample()
    state = torch.get_rng_state()
    first, same, other = (model.losses([sample], generators(s))[0].total() for s in (5, 5, 6))
    assert first == same and first != other
    assert torch.equal(state, torch.get_rng_state())


def test_recomputation_in_chunks_is_exact() -> None:
    plain = build_model(small_config(), N_CLASSES)
    chunked = build_model(replace(small_config(), {"box_head": {"chunk": 7}}), N_CLASSES)
    found = [backward(model, model.losses([random_sample()], generators(3))) for model in (plain, chunked)]
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_objectness_scales_the_pooled_features() -> None:
    """The factor applied behind the first layer equals the release's, applied to the pooled features."""
    model = build_model(replace(small_config(), {"box_head": {"objectness": True}}), N_CLASSES).eval()
    sample, head = random_sample(), model.box_head
    features = model.backbone.features(sample.image)
    found = head(features, sample.proposals.box, sample.proposals.score, None)
    pooled = roi_pool(features.map, [clip(sample.proposals.box, features.size)], 7, features.scale)
    pooled = pooled * (sample.proposals.score + 1)[:, None, None, None]
    torch.testing.assert_close(found, head.fc2(head.fc1(pooled.flatten(1)).relu()).relu())


def test_one_width_is_one_layer() -> None:
    """The same model in chunks, and the layer's own arithmetic."""
    config = replace(small_config(), {"box_head": {"hidden": (16,), "chunk": 7}})
    model, sample = build_model(config, N_CLASSES), random_sample()
    assert not [name for name in model.state_dict() if "fc2" in name]
    backward(model, model.losses([sample], generators(3)))
    features = model.eval().backbone.features(sample.image)
    found = model.box_head(features, sample.proposals.box, sample.proposals.score, None)
    pooled = roi_pool(features.map, [clip(sample.proposals.box, features.size)], 7, features.scale)
    torch.testing.assert_close(found, model.box_head.fc1(pooled.flatten(1)).relu())


def test_the_objectness_prior_weighs_the_softmax_over_proposals() -> None:
    """Against the sum written out; objectness 0 is the least weight and not minus infinity."""
    head = TwoStreamHead(8, N_CLASSES, prior=1.5)
    x, objectness = torch.rand(5, 8), torch.tensor([0.0, 0.3, 0.9, 0.02, 0.5])
    valid = torch.tensor([True, True, True, False, True])
    weight = objectness.clamp_min(1e-4).double()[:, None] ** 1.5 * head.detection(x).double().exp() * valid[:, None]
    expected = head.classification(x).double().softmax(1) * weight / weight.sum(0)
    found, _ = detection_heads(x, objectness, valid, head, [])
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-9)
    head.prior = 0.0
    found, _ = detection_heads(x, objectness, valid, head, [])
    torch.testing.assert_close(found, proposal_scores(head.classification(x), head.detection(x), valid))


def test_the_build_is_deterministic_and_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    first, same, other = (build_model(small_config(), N_CLASSES, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["box_head.fc1.weight"], other["box_head.fc1.weight"])


@pytest.mark.parametrize("teachers", ["all", "agnostic"])
def test_which_mask_heads_teach_the_trunk(teachers: str) -> None:
    """The value is the same; with `agnostic` the class-specific heads reach their own predictors only."""
    model = build_model(replace(small_config(), {"mask": {"trunk_gradient": teachers}}), N_CLASSES)
    head, sample = model.mask_head, random_sample()
    features = model.backbone.features(sample.image)
    logit = head(features, sample.proposals.box[:5], torch.tensor([0, 1, 2, 3, 0]))
    other = build_model(small_config(), N_CLASSES).mask_head(features, sample.proposals.box[:5], torch.arange(5) % 4)
    torch.testing.assert_close(logit, other)
    logit[:, 1:].sum().backward(retain_graph=True)
    assert head.specific is not None and head.specific.weight.grad is not None

    def reached(module: torch.nn.Module) -> list[bool]:
        return [p.grad is not None and bool(p.grad.any()) for p in module.parameters()]

    assert set(reached(head.trunk)) == {teachers == "all"} and not any(reached(head.agnostic))
    logit[:, 0].sum().backward()
    assert all(reached(head.trunk)) and all(reached(head.agnostic))


def test_dropped_foreground_is_counted_but_not_saved() -> None:
    model = build_model(replace(small_config(), {"mask": {"capacity": 1}}), N_CLASSES)
    model.losses([random_sample()], [None])
    assert int(model.dropped) > 0
    assert "dropped" not in model.state_dict()


@pytest.mark.parametrize("variant", ["plain", "release's mask branch", "cascade", "cascade without refinement"])
def test_pseudo_ground_truth_is_what_the_mask_branch_learns_from(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proposals that are pseudo boxes themselves come first in the branch; their targets are those told."""
    options = [VARIANTS.get(variant, {}), {"detection": {"pseudo_box": "proposal"}, "mask": {"capacity": None}}]
    config: ModelConfig = small_config()
    for option in options:
        config = replace(config, option)
    model, sample, seen = build_model(config, N_CLASSES), random_sample(), []
    told = model.pseudo_ground_truth(sample)
    monkeypatch.setattr("pdsl.model.pdsl.mask_terms", lambda config, inputs: (seen.append(inputs), {}, {})[1:])
    model.losses([sample], [None])
    assert told.present.tolist() == sample.label.tolist() and int(model.dropped) == 0
    first = (seen[0].target * seen[0].taken[:, None, None])[: int(told.present.sum())]
    for mask in told.mask[told.present]:
        assert any(torch.equal(mask, target) for target in first)
    frames = clip(sample.proposals.box, (64, 80))
    assert all(any(torch.equal(box, frame) for frame in frames) for box in told.box[told.present])


@pytest.mark.parametrize("sample", [random_sample(n_seeds=0), random_sample(n_proposals=0, n_seeds=0)])
def test_pseudo_ground_truth_without_seeds_has_empty_masks(sample: Sample) -> None:
    told = build_model(small_config(), N_CLASSES).pseudo_ground_truth(sample)
    assert told.box.shape == (N_CLASSES, 4) and not told.mask.any()


class NoReading(TorchDispatchMode):
    """Refuses every operation that would wait for the device: values or data-dependent shapes read by the host, and
    copies from one to the other."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal.default", "is_nonzero", "argwhere")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if any(word in name for word in self.FORBIDDEN):
            raise AssertionError(f"{name} reads a value from the device")
        devices = {x.device for x in tensors(args)} | {torch.device(d) for d in [(kwargs or {}).get("device")] if d}
        if "copy" in name and len(devices) > 1:
            raise AssertionError(f"{name} moves a tensor between devices")
        if name.startswith("aten.index") and any(x.dtype == torch.bool for x in tensors(args[1:2])):
            raise AssertionError(f"{name} with a mask has a shape that depends on data")
        return func(*args, **(kwargs or {}))


def tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from tensors(item)


@pytest.mark.parametrize("variant", ["plain", *VARIANTS])
def test_no_value_is_read_back_in_a_step(variant: str) -> None:
    config: ModelConfig = replace(small_config(), VARIANTS.get(variant, {}))
    model = build_model(config, N_CLASSES)
    sample = random_sample()
    with NoReading():
        terms = model.losses([sample], generators(0))
        torch.stack([t.total() for t in terms]).mean().backward()


@pytest.mark.parametrize("variant", ["plain", *VARIANTS])
def test_nothing_is_moved_to_the_device_in_a_step(variant: str) -> None:
    """Meta tensors stand for those on a device."""
    model = build_model(replace(small_config(), VARIANTS.get(variant, {})), N_CLASSES).to("meta")
    sample = random_sample()
    proposals, seeds = (
        type(part)(*(x.to("meta") for x in vars(part).values())) for part in (sample.proposals, sample.seeds)
    )
    sample = Sample(sample.image.to("meta"), sample.label.to("meta"), proposals, seeds, row=0, image_id="0")
    with NoReading():
        model.losses([sample], [None])[0].total().backward()


def test_the_guard_itself_sees_reading() -> None:
    x = torch.arange(3.0)
    for read in (lambda: x[x > 1], lambda: x.sum().item(), lambda: (x > 1).nonzero(), lambda: x.to("meta")):
        with NoReading(), pytest.raises(AssertionError):
            read()
