"""Frozen norms: what torchvision's are, also folded into a frozen convolution; bf16 stays bf16."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from pdsl.model.build import build_backbone
from pdsl.model.frozen_norm import FrozenNorm
from pdsl.model.pooling import pool_boxes


def random_norm(seed: int = 0) -> FrozenNorm:
    generator = torch.Generator().manual_seed(seed)
    norm = FrozenNorm(5)
    for name, value in norm.named_buffers():
        value.copy_(torch.rand(5, generator=generator) + (0.5 if name == "running_var" else -0.5))
    return norm.double()


def convolution(*, frozen: bool) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(3, 5, 3, 2, 2, 2, bias=False).double().requires_grad_(not frozen)


def expected(norm: FrozenNorm, layer: nn.Conv2d, x: Tensor) -> Tensor:
    theirs = FrozenBatchNorm2d(5).double()
    theirs.load_state_dict(norm.state_dict())
    found: Tensor = theirs(layer(x))
    return found


@pytest.mark.parametrize("frozen", [True, False])
def test_it_is_torchvisions_norm(frozen: bool) -> None:
    norm, layer, x = random_norm(), convolution(frozen=frozen), torch.rand(2, 3, 9, 8).double()
    torch.testing.assert_close(norm.after(layer, x), expected(norm, layer, x))


def test_what_was_folded_is_folded_again_after_a_change() -> None:
    norm, layer, x = random_norm(), convolution(frozen=True), torch.rand(1, 3, 9, 8).double()
    with torch.inference_mode():
        norm.after(layer, x)
    changes = (
        lambda: layer.weight.mul_(2),
        lambda: norm.load_state_dict(random_norm(1).state_dict()),
        lambda: setattr(layer, "weight", nn.Parameter(layer.weight.detach() + 1, requires_grad=False)),
        lambda: norm.running_mean.add_(3),
    )
    for change in changes:
        with torch.no_grad():
            change()
        torch.testing.assert_close(norm.after(layer, x), expected(norm, layer, x))
    norm, layer = norm.float(), layer.float()
    assert norm.after(layer, x.float()).dtype == torch.float32


def test_gradients_pass_a_folded_norm() -> None:
    """Cascade learning looks through a frozen trunk, also after an evaluation has folded it."""
    norm, layer = random_norm(), convolution(frozen=True)
    with torch.inference_mode():
        norm.after(layer, torch.rand(1, 3, 9, 8).double())
    x = torch.rand(1, 3, 9, 8, dtype=torch.float64, requires_grad=True)
    gradients = [torch.autograd.grad(f(x).square().sum(), x)[0] for f in (
        lambda x: norm.after(layer, x), lambda x: expected(norm, layer, x)
    )]  # fmt: skip
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("frozen", ["none", "stem", "all"])
def test_the_feature_map_is_bf16_under_autocast(frozen: str) -> None:
    backbone = build_backbone("resnet18_ws")
    backbone.freeze(frozen)  # type: ignore[arg-type]
    image = torch.rand(3, 40, 48, generator=torch.Generator().manual_seed(0)) * 255
    exact = backbone.features(image).map
    with torch.autocast("cpu", torch.bfloat16):
        features = backbone.features(image)
        pooled = pool_boxes(features, torch.tensor([[0.0, 0.0, 30.0, 30.0]]), 7)
    assert features.map.dtype == pooled.dtype == torch.bfloat16
    assert float((features.map - exact).abs().max()) < 0.05 * float(exact.abs().max())
