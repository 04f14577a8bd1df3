"""The whole model under bf16 autocast, as it trains on a GPU: finite terms close to those in float32."""

import torch

from pdsl.model.build import build_model
from tests.model.scenes import N_CLASSES, generators, random_sample, small_config


def test_losses_under_autocast() -> None:
    model, sample = build_model(small_config(), N_CLASSES), random_sample()
    exact = model.losses([sample], generators(0))[0].named()
    with torch.autocast("cpu", torch.bfloat16):
        terms = model.losses([sample], generators(0))[0]
    terms.total().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    for name, term in terms.named().items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term, exact[name], rtol=0.1, atol=0.02, msg=name)
