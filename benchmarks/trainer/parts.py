"""The parts of a training step, by the functions that they consist of; told to whoever counts or measures."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pkgutil import resolve_name
from typing import Any
from unittest import mock

import pdsl.evaluate.infer
import pdsl.train.step  # noqa: F401

PARTS = {
    "augmentation": ("pdsl.train.step.apply", "pdsl.cache.RawSample.to_sample"),
    "trunk": ("pdsl.model.backbone.Backbone.forward",),
    "box head": ("pdsl.model.heads.BoxHead.forward",),
    "detection heads": ("pdsl.model.pdsl.detection_heads",),
    "pseudo labels": ("pdsl.model.pdsl.PDSL._pseudo_labels", "pdsl.model.pdsl.mask_targets"),
    "mask head": ("pdsl.model.mask_head.MaskHead.forward",),
    "losses": ("pdsl.model.pdsl.detection_terms", "pdsl.model.pdsl.mask_terms"),
    "backward pass": ("torch.autograd.grad",),
    "sum of gradients": ("pdsl.train.gradients.GradientSum.add",),
    "exchange": ("pdsl.train.distributed.World.sum",),
    "update": ("pdsl.train.step.update", "pdsl.train.step.gradient_norm"),
    "suppression": ("pdsl.evaluate.infer.final_boxes",),
    "masks to RLE": ("pdsl.evaluate.infer.to_predictions",),
}
REST = "the rest"
"""What happens outside of all of them."""


@contextmanager
def told(enter: Callable[[str], AbstractContextManager[Any]]) -> Iterator[None]:
    """Within the block every part runs within `enter(its name)`; parts may lie in one another."""
    with ExitStack() as stack:
        for part, targets in PARTS.items():
            for target in targets:
                stack.enter_context(mock.patch(target, _within(resolve_name(target), part, enter)))
        yield


def _within(function: Callable[..., Any], part: str, enter: Callable[[str], AbstractContextManager[Any]]) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        with enter(part):
            return function(*args, **kwargs)

    return run
