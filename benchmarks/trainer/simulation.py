"""A training step on a device that is not there: what it launches, multiplies and moves, counted without computing.

Tensors are fake: they have shape and type but no content. They claim to lie on the CPU, whose autocast stands for that
of a GPU; where the model treats a CPU in its own way, it is told not to (`device_paths`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from data.masks import MASK_SIDE
from pdsl.augment import Transform
from pdsl.config.tree import Config
from pdsl.model.build import build_model
from pdsl.model.pseudo_labels import MaskSample
from pdsl.raw_sample import RawSample
from pdsl.train.distributed import World
from pdsl.train.meters import Meters
from pdsl.train.optimizer import build_optimizer
from pdsl.train.step import Stepper

NO_LAUNCH = {
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "detach",
    "lift_fresh",
    "_unsafe_view",
    "scalar_tensor",
}
"""Operators below autograd that start nothing on a device; views are recognised by themselves."""


class Launches(TorchDispatchMode):
    """Counts the operators below autograd that start something on a device. by_name: how many of each."""

    def __init__(self) -> None:
        super().__init__()
        self.by_name: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """All of them."""
        return self.by_name.total()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if is_launch(func):
            self.by_name[_base(func)] += 1
        return func(*args, **(kwargs or {}))


def is_launch(func: Any) -> bool:
    """Whether an operator starts something on a device."""
    known = func.name().startswith(("aten::", "torchvision::"))
    return known and not func.is_view and _base(func) not in NO_LAUNCH


def _base(func: Any) -> str:
    return str(func.name()).split("::")[1].split(".")[0]


@contextmanager
def device_paths() -> Iterator[None]:
    """The model takes the ways of a GPU: torchvision's RoIPool, a mask branch of fixed size."""

    def with_padding(picked: MaskSample) -> MaskSample:
        return picked

    with ExitStack() as stack:
        stack.enter_context(mock.patch("pdsl.model.pooling.looks_up", lambda features: False))
        stack.enter_context(mock.patch.object(MaskSample, "without_padding", with_padding))
        yield


@contextmanager
def simulated_step(
    config: Config,
    n_classes: int,
    *,
    images: int,
    size: tuple[int, int],
    transform: Transform,
    seeds: int = 1024,
    watch: AbstractContextManager[Any] | None = None,
) -> Iterator[tuple[Stepper, Sequence[RawSample]]]:
    """A stepper of fake tensors, with the backbone frozen as `model.backbone.freeze` says, and the images of one step.

    size: (height, width) of every image as it is decoded; transform: what augmentation makes of it. Proposals are as
    many as `data.max_proposals`. watch: what is to see the model made, too (`PeakMemory`). Within the block
    `Stepper.run` computes shapes and types alone.
    """
    frozen = config.model.backbone.frozen_at_first
    with ExitStack() as stack:
        stack.enter_context(mock.patch("pdsl.train.step.draw", lambda *_: transform))
        stack.enter_context(device_paths())
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(watch or nullcontext())
        model = build_model(config.model, n_classes)
        model.backbone.freeze(frozen)
        world = World(0, 1, torch.device("cpu"))
        optimizer = build_optimizer(model.train(), config.optimizer)
        stepper = Stepper(model, optimizer, config, world, Meters(world.device))
        yield stepper, [fake_sample(config.data.max_proposals, n_classes, seeds, size, row) for row in range(images)]


def fake_sample(proposals: int, n_classes: int, seeds: int, size: tuple[int, int], row: int) -> RawSample:
    """An image as the loader gives it, of so many proposals and seeds; called where tensors are fake."""
    return RawSample(
        image=torch.empty(3, *size, dtype=torch.uint8),
        label=torch.empty(n_classes, dtype=torch.bool),
        box=torch.empty(proposals, 4),
        score=torch.empty(proposals),
        seed=torch.empty(seeds, dtype=torch.int64),
        mask=torch.empty(seeds, MASK_SIDE, MASK_SIDE // 8, dtype=torch.uint8),
        index=row,
        row=row,
        image_id=str(row),
    )
