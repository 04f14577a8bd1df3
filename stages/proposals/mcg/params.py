"""Parameters of the MCG proposals, with the values that the benchmarks chose (docs/proposals.md)."""

from dataclasses import dataclass, field
from typing import Literal

from stages.regions.criterion import MergeCriterion
from stages.regions.tuple_counts import TupleCounts

Mode = Literal["accurate", "fast"]
ContourName = Literal["net", "gradient"]


@dataclass(frozen=True)
class Scale:
    """One working size: contours and superpixels are made once, then `criteria` give one hierarchy each.

    side: long side in pixels.
    """

    side: int
    criteria: tuple[MergeCriterion, ...]


ACCURATE = (
    Scale(1040, (MergeCriterion(0.5, 0.3, 1000), MergeCriterion(0.2, 0.1, 700))),
    Scale(520, (MergeCriterion(0.5, 0.3, 700), MergeCriterion(0.5, 2.0, 700))),
)
FAST = (Scale(500, (MergeCriterion(0.5, 0.3, 700), MergeCriterion(0.5, 2.0, 700))),)


@dataclass(frozen=True)
class McgParams:
    """Method `mcg`.

    method: how the proposals are made, or where they come from.
    mode: "accurate" (1040 + 520 pixels, four hierarchies) or "fast" (500 pixels, two hierarchies).
    contours: "net" (trained on the boundaries of BSDS500) or "gradient" (no learning).
    max_proposals: n^P, proposals per image.
    masks: whether region masks in box frame are made.
    max_upscale: working sizes never exceed this multiple of the image's long side.
    """

    method: Literal["mcg"] = "mcg"
    mode: Mode = "accurate"
    contours: ContourName = "net"
    max_proposals: int = 2000
    masks: bool = False
    max_upscale: float = 2.0
    tuples: TupleCounts = field(default_factory=TupleCounts)

    def __post_init__(self) -> None:
        if self.max_proposals < 1:
            raise ValueError(f"max_proposals is {self.max_proposals}; it must be at least 1")
        if not self.max_upscale >= 1:
            raise ValueError(f"max_upscale is {self.max_upscale}; it must be at least 1")

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The working sizes of the chosen mode, largest first."""
        return ACCURATE if self.mode == "accurate" else FAST
