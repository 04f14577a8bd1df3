"""Running averages and a record of blocked updates, both kept on the device until a log interval ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pdsl.train.distributed import World


@dataclass(frozen=True)
class BlockedImage:
    """An image whose losses were not finite: the update of `step` (1-based) was left out."""

    step: int
    image_id: str
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Averages:
    """What happened since the last log entry.

    terms: loss terms, averaged over the images of the updates that were made; grad_norm likewise over the updates.
    steps: updates tried; n_blocked: of these, left out; blocked: the images at fault.
    """

    terms: dict[str, float]
    grad_norm: float
    steps: int
    n_blocked: int
    blocked: list[BlockedImage]


@dataclass
class Meters:
    """Sums over the steps since the last log entry.

    total: (K,) float64 on the device, sums of the named scalars over the images of this process, blocked steps left
    out. The rest is host bookkeeping that needs no synchronisation.
    """

    device: torch.device
    names: tuple[str, ...] = ()
    total: Tensor | None = None
    blocked: Tensor = field(init=False)
    grad_norm: Tensor = field(init=False)
    steps: int = 0
    suspects: list[tuple[int, list[str], Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.blocked = torch.zeros((), dtype=torch.float64, device=self.device)
        self.grad_norm = torch.zeros((), dtype=torch.float64, device=self.device)

    def add(
        self, step: int, image_ids: Sequence[str], terms: Mapping[str, Tensor], grad_norm: Tensor, blocked: Tensor
    ) -> None:
        """Count one step. terms: name -> (A,) the scalars of this process's images; blocked: float scalar, 0 or 1."""
        names = tuple(terms)
        if self.total is None:
            self.names = names
            self.total = torch.zeros(len(names), dtype=torch.float64, device=self.device)
        elif names != self.names:
            raise RuntimeError(f"the model's loss terms changed between steps: {self.names} and then {names}")
        values = torch.stack([terms[name] for name in names])  # (K, A)
        counts = blocked == 0
        self.total += torch.where(counts, values.sum(1, dtype=torch.float64), 0)
        self.grad_norm += torch.where(counts, grad_norm, 0)
        self.blocked += blocked
        self.suspects.append((step, list(image_ids), values - values != 0))  # not finite
        self.steps += 1

    def read(self, world: World, images_per_step: int) -> Averages:
        """The averages; then start anew. This is where the host waits for the device."""
        if self.total is None:
            raise RuntimeError("no step was counted")
        total = self.total.clone()
        world.sum([total])
        n_blocked = int(self.blocked)
        counted = max(1, self.steps - n_blocked)
        found = world.gather(self._blocked_images() if n_blocked else [])
        averages = Averages(
            terms=dict(zip(self.names, (total / (counted * images_per_step)).tolist(), strict=True)),
            grad_norm=float(self.grad_norm) / counted,
            steps=self.steps,
            n_blocked=n_blocked,
            blocked=[image for part in found for image in part],
        )
        self._reset()
        return averages

    def _blocked_images(self) -> list[BlockedImage]:
        found = []
        for step, image_ids, bad in self.suspects:
            for image_id, column in zip(image_ids, bad.T.tolist(), strict=True):
                terms = tuple(name for name, is_bad in zip(self.names, column, strict=True) if is_bad)
                if terms:
                    found.append(BlockedImage(step, image_id, terms))
        return found

    def _reset(self) -> None:
        self.total = None
        self.blocked.zero_()
        self.grad_norm.zero_()
        self.steps = 0
        self.suspects = []
