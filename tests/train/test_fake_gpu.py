"""A step and a look on fake tensors that claim to lie on a GPU: none meets one of the host, nothing asks for a value,
and CUDA's autocast makes bf16 of what it should.

Shapes, types and places are those of a GPU; backward passes and the fused update, which fake tensors can not do without
a driver, are left out.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from inspect import unwrap
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from benchmarks.trainer.roofline import PASS
from benchmarks.trainer.simulation import fake_sample
from pdsl.config.load import load_config
from pdsl.config.shipped import find_config
from pdsl.config.tree import Config
from pdsl.evaluate.infer import detect_image
from pdsl.evaluate.postprocess import FinalBoxes
from pdsl.evaluate.tta import views
from pdsl.model.build import build_model
from pdsl.model.pdsl import PDSL
from pdsl.model.precision import cast_once
from pdsl.structures import Proposals
from pdsl.train.distributed import World
from pdsl.train.meters import Meters
from pdsl.train.optimizer import build_optimizer
from pdsl.train.randomness import generator_for
from pdsl.train.step import Stepper

GPU = torch.device("cuda", 0)
CONFIGS = ("voc-paper", "coco-official", "voc-vgg16-cpu", "demo")
SIZE = (375, 500)


@contextmanager
def fake_gpu() -> Iterator[None]:
    """Within the block tensors are fake and torch says that there is a GPU that has bf16."""

    def zeros(_: object, inputs: list[Tensor], *__: object, **___: object) -> list[Tensor]:
        return [torch.zeros_like(leaf) for leaf in inputs]

    with FakeTensorMode(allow_non_fake_inputs=True), ExitStack() as stack:
        torch.empty(1, device=GPU)  # while torch knows that there is none: the first one asks the driver otherwise
        stack.enter_context(mock.patch("torch.cuda.is_available", lambda: True))
        stack.enter_context(mock.patch("torch.cuda.is_bf16_supported", lambda *_, **__: True))
        stack.enter_context(mock.patch("torch.autograd.grad", zeros))
        yield


def fake_model(config: Config) -> PDSL:
    """`Module.to` exchanges what parameters hold, which fake ones do not let it."""
    model = build_model(config.model, 20)
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(weight.detach().to(GPU), weight.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(GPU))
    return model


def settled(name: str, *overrides: str) -> Config:
    freeze = [] if name == "demo" else ["model.backbone.weights=FILE"]
    return load_config(find_config(name), [*freeze, *overrides])


def run_steps(config: Config, model: PDSL) -> Stepper:
    """Two updates but for backward pass and update."""
    blocked: list[Tensor] = []
    with ExitStack() as stack:
        stack.enter_context(mock.patch("pdsl.train.step.draw", lambda *_: PASS))
        stack.enter_context(mock.patch("pdsl.train.step.generator_for", lambda *of: generator_for(*of[:4])))
        stack.enter_context(mock.patch("pdsl.train.step.update", lambda *given: blocked.append(given[-1])))
        stepper = Stepper(
            model, build_optimizer(model.train(), config.optimizer), config, World(0, 1, GPU), Meters(GPU)
        )
        images = config.optimizer.images_per_step
        for step in range(2):
            stepper.run(step, [fake_sample(config.data.max_proposals, 20, 64, SIZE, row) for row in range(images)])
    assert [flag.device for flag in blocked] == [GPU, GPU]
    return stepper


@pytest.mark.parametrize("name", CONFIGS)
def test_a_step_stays_on_the_device(name: str) -> None:
    with fake_gpu():
        config = settled(name)
        model = fake_model(config)
        maps: list[Tensor] = []
        model.backbone.register_forward_hook(lambda *call: maps.append(call[-1]))
        stepper = run_steps(config, model)
        assert stepper.bf16
        # the demo's network ends with a group norm, which autocast computes in float32
        assert {(x.device, x.dtype) for x in maps} == {(GPU, torch.float32 if name == "demo" else torch.bfloat16)}
        assert {total.dtype for total in stepper.gradients.total} == {torch.float32}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_look_stays_on_the_device(name: str) -> None:
    """But for suppression, which asks how many boxes are left."""
    config, rows, kept = settled(name), 50, 7
    looks = views(config.inference, True)[:2]
    with fake_gpu(), torch.device(GPU):
        final = FinalBoxes(torch.empty(kept, 4), torch.empty(kept), torch.empty(kept, dtype=torch.int64))
        proposals = Proposals(torch.empty(rows, 4), torch.empty(rows), torch.empty(rows, dtype=torch.bool))
        image = torch.empty(3, *SIZE, dtype=torch.uint8)
    with fake_gpu(), mock.patch("pdsl.evaluate.infer.final_boxes", lambda *_: final):
        look = torch.no_grad()(unwrap(detect_image))
        found = look(cast_once(fake_model(config)), image, proposals, config.inference, looks, bf16=True)
        assert (found.mask.device, found.mask.dtype, len(found.mask)) == (GPU, torch.float32, kept)


def test_what_would_fail_on_a_gpu_fails() -> None:
    """A tensor that was left on the host, and a value that the host asks for."""
    with fake_gpu():
        config = settled("demo")
        model = fake_model(config)
        model.mask_head.classes = torch.arange(20)
        with pytest.raises(RuntimeError, match="different devices"):
            run_steps(config, model)
        with pytest.raises(DataDependentOutputException):
            bool(torch.ones(1, device=GPU).any())
