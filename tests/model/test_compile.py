"""`torch.compile` takes the whole loss as one graph."""

import torch

from pdsl.model.build import build_model
from tests.model.scenes import N_CLASSES, generators, random_sample, small_config


def test_the_losses_are_one_graph() -> None:
    model, sample = build_model(small_config(), N_CLASSES), random_sample()
    keep = model.box_head.draw(len(sample.proposals.valid), generators(0)[0], "cpu")
    plain = model.losses([sample], [keep])[0]
    compiled = torch.compile(model.losses, fullgraph=True, backend="eager")  # or it raises
    found = compiled([sample], [keep])[0]
    torch.testing.assert_close(found.named(), plain.named())
    ours, theirs = (torch.autograd.grad(terms.total(), list(model.parameters())) for terms in (found, plain))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_dropout_that_was_drawn_before_is_that_of_the_generator() -> None:
    model, sample = build_model(small_config(), N_CLASSES), random_sample()
    keep = model.box_head.draw(len(sample.proposals.valid), generators(5)[0], "cpu")
    drawn, before = (model.losses([sample], [dropout])[0].values() for dropout in (*generators(5), keep))
    assert torch.equal(drawn, before)
    assert model.eval().box_head.draw(3, generators(5)[0], "cpu") is None
