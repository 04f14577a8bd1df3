"""Parameters of the stage `grabcut`, by `--set grabcut.<name>=<value>`."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class OpenCVParams:
    """The paper's own setting: `cv2.grabCut` on the whole image from the box's rectangle; empty -> the whole box.

    long_side: pixels of the image's longer side while it runs.
    iterations: of GrabCut's estimate-and-cut loop.
    """

    long_side: int = 400
    iterations: int = 5

    def __post_init__(self) -> None:
        if self.long_side < 16:
            raise ValueError(f"opencv.long_side is {self.long_side}; it must be at least 16")
        if self.iterations < 1:
            raise ValueError(f"opencv.iterations is {self.iterations}; it must be at least 1")


@dataclass(frozen=True)
class GrabcutParams:
    """Seeds and their masks.

    method: `opencv`, the paper's own.
    seeds: `cover` (greedy: every proposal has a seed with IoU >= cover_iou) or `all` proposals.
    cover_iou: t of the cover.
    capacity: Q, rows of the arrays; None: 512 for `cover`, P for `all`.
    """

    method: Literal["opencv"] = "opencv"
    seeds: Literal["cover", "all"] = "cover"
    cover_iou: float = 0.7
    capacity: int | None = None
    opencv: OpenCVParams = field(default_factory=OpenCVParams)

    def __post_init__(self) -> None:
        if not 0 < self.cover_iou <= 1:
            raise ValueError(f"cover_iou is {self.cover_iou}; it must lie in (0, 1]")
        if self.capacity is not None and self.capacity < 1:
            raise ValueError(f"capacity is {self.capacity}; it must be at least 1")

    def seed_capacity(self, proposals: int) -> int:
        """Q for P proposals."""
        if self.capacity is not None:
            return min(self.capacity, proposals)
        return proposals if self.seeds == "all" else min(512, proposals)
