"""Gradients of one update: the order of their sum, and the weights that bf16 passes compute with."""

import pytest
import torch
from torch import Tensor, nn

from pdsl.cache import open_cache
from pdsl.config.load import load_config
from pdsl.model.build import build_model
from pdsl.train.distributed import World, tree_sum
from pdsl.train.gradients import GradientSum, WorkingWeights
from pdsl.train.meters import Meters
from pdsl.train.optimizer import build_optimizer, trainable
from pdsl.train.step import Stepper


def gradients(passes: int, dtype: torch.dtype = torch.float32) -> list[list[Tensor]]:
    generator = torch.Generator().manual_seed(passes)
    return [
        [torch.randn(n, generator=generator).exp().to(dtype) for n in (50, 7)]  # of many magnitudes: order matters
        for _ in range(passes)
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("passes", [1, 2, 3, 4, 5, 6, 7, 8, 12, 16])
def test_the_sum_goes_by_the_tree(passes: int, dtype: torch.dtype) -> None:
    parts = gradients(passes, dtype)
    total = [torch.full((50,), 9.0), torch.full((7,), 9.0)]
    summed = GradientSum(total)
    for _ in range(2):  # the second time with buffers that are there
        summed.begin(passes)
        for part in parts:
            summed.add(part)
    for number, found in enumerate(total):
        assert torch.equal(found, tree_sum([part[number].float() for part in parts]))


@pytest.mark.parametrize(("images", "processes"), [(4, 2), (4, 4), (8, 2), (12, 4), (6, 2)])
def test_processes_hold_branches_of_the_tree(images: int, processes: int) -> None:
    parts = [part[0] for part in gradients(images)]
    share = images // processes
    branches = [tree_sum(parts[start : start + share]) for start in range(0, images, share)]
    assert torch.equal(tree_sum(branches), tree_sum(parts))


def test_order_matters_to_the_last_bit() -> None:
    parts = [part[0] for part in gradients(8)]
    assert not torch.equal(sum(parts[1:], parts[0]), tree_sum(parts))


def stepper(store: str, config: str, *overrides: str) -> Stepper:
    settled = load_config(config, [*overrides, ("data.stores", [store])])
    world = World(0, 1, torch.device("cpu"))
    model = build_model(settled.model, len(open_cache(settled.data, settled.classes).class_names)).train()
    return Stepper(model, build_optimizer(model, settled.optimizer), settled, world, Meters(world.device))


def gradient_of(store: str, config: str, *overrides: str) -> list[Tensor]:
    step = stepper(store, config, "augment.scales=[64]", "augment.crop=1", *overrides)
    cache = open_cache(step.config.data, step.config.classes)
    step.run(0, [cache.read(index) for index in (0, 0, 1, 1)])  # images of equal size
    return [gradient.clone() for gradient in step.gradients.total]


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-6), ("bfloat16", 0)])
def test_images_of_a_pass_are_summed_in_float32(store: str, config: str, precision: str, tolerance: float) -> None:
    one, four = (
        gradient_of(store, config, f"precision={precision}", f"optimizer.images_per_pass={size}") for size in (1, 4)
    )
    scale = max(float(gradient.abs().max()) for gradient in one)
    assert scale > 1e-3
    assert all(float((a - b).abs().max()) <= tolerance * scale for a, b in zip(one, four, strict=True))


def test_weights_are_cast_once_an_update(store: str, config: str) -> None:
    step = stepper(store, config, "precision=bfloat16")
    weights, model = step.weights, step.model
    layers = {name for name, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)}
    assert {name.rpartition(".")[0] for name in weights.by_name} == layers  # norms stay as they are
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.mul_(1.7)
    weights.refresh()
    for name, copy in weights.by_name.items():
        assert copy.is_leaf and copy.requires_grad and torch.equal(copy, parameters[name].to(torch.bfloat16))


def test_float32_passes_compute_with_the_trained_weights_themselves() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.GroupNorm(1, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    weights = WorkingWeights(model, optimizer, bf16=False)
    assert not weights.by_name
    assert all(leaf is p for leaf, p in zip(weights.leaves, trainable(optimizer), strict=True))
