"""Gradients of one update: of each image by itself, and summed in an order that no split over processes changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pdsl.model.precision import cast_by_autocast
from pdsl.train.optimizer import trainable


class WorkingWeights:
    """The weights that passes compute with, and learn through: the trained ones themselves or, with `bf16`, copies of
    those that autocast would cast again and again for every image, cast once an update.

    by_name: what to call the model with (`torch.func.functional_call`). leaves: what to differentiate with respect to,
    in the order of `trainable(optimizer)`.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, *, bf16: bool) -> None:
        self.trained = trainable(optimizer)
        cast = {id(p) for p in cast_by_autocast(model)} if bf16 else set()
        self.leaves = [p.detach().to(torch.bfloat16).requires_grad_() if id(p) in cast else p for p in self.trained]
        copies = {id(p): leaf for p, leaf in zip(self.trained, self.leaves, strict=True) if leaf is not p}
        self.by_name = {name: copies[id(p)] for name, p in model.named_parameters() if id(p) in copies}

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over what the trained weights are now."""
        pairs = [(leaf, p) for leaf, p in zip(self.leaves, self.trained, strict=True) if leaf is not p]
        if pairs:
            torch._foreach_copy_([leaf for leaf, _ in pairs], [p for _, p in pairs])


class GradientSum:
    """The sum over the passes of one process, by the tree of `distributed.tree_sum`, as they come.

    total: where the sum goes. Branches that wait for their other half get buffers of their own, kept for later updates.
    """

    def __init__(self, total: Sequence[Tensor]) -> None:
        self.total = list(total)
        self._free: list[list[Tensor]] = []
        self._branches: list[_Branch] = []
        self._odd = 1

    def begin(self, passes: int) -> None:
        """Forget what was summed; so many passes will come."""
        self._branches = []
        self._odd = passes // (passes & -passes)

    def add(self, gradients: Sequence[Tensor]) -> None:
        """Add the gradients of the next pass, in any floating type."""
        last = self._branches[-1] if self._branches else None
        if last and (last.passes < self._odd or last.passes == 1):
            self._add(last.sum, gradients)
            last.passes += 1
        else:
            buffer = self._buffer() if self._branches else self.total
            torch._foreach_copy_(buffer, list(gradients))
            self._branches.append(_Branch(buffer, 1))
        while len(self._branches) > 1 and self._branches[-2].passes == self._branches[-1].passes >= self._odd:
            done = self._branches.pop()
            torch._foreach_add_(self._branches[-1].sum, done.sum)
            self._branches[-1].passes += done.passes
            self._free.append(done.sum)

    def _add(self, to: list[Tensor], gradients: Sequence[Tensor]) -> None:
        if any(g.dtype != t.dtype for g, t in zip(gradients, to, strict=True)):
            wide = self._buffer()
            torch._foreach_copy_(wide, list(gradients))
            torch._foreach_add_(to, wide)
            self._free.append(wide)
        else:
            torch._foreach_add_(to, list(gradients))

    def _buffer(self) -> list[Tensor]:
        return self._free.pop() if self._free else [torch.empty_like(t) for t in self.total]


@dataclass
class _Branch:
    """The sum of so many passes."""

    sum: list[Tensor]
    passes: int
