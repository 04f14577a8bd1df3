"""Parameters of the stage `grabcut`, by `--set grabcut.<name>=<value>`."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class ColourCutParams:
    """Method `colour-cut`: evidence per cell as a sum of log odds, cut where the expected IoU is greatest.

    The weights were fitted with the true masks of 343 images of COCO train2017 (docs/seeds.md); they weigh general cues
    and hold nothing of any class.

    contours: "net" (trained on the boundaries of BSDS500) or "gradient" (no learning), as in `proposals.contours`.
    side: long side in pixels at which contours and regions are computed.
    words: K, colour words of an image, at most 256.
    leaves: regions at the bottom of the hierarchy.
    bias: log odds of foreground before any evidence.
    enclosure: weight of "contours cut the cell off from the box's rim rather than from its middle".
    containment: weight of "the region around the cell lies inside the box".
    fit: weight of "the cell is in a region whose own bounding box is like the box".
    colour, region_colour: weights of the colour's log ratio, of the cell and averaged over the cell's region.
    vote_iou: boxes of at least this IoU vote on each other's masks; 1 leaves every box alone.
    """

    contours: Literal["net", "gradient"] = "net"
    side: int = 1000
    words: int = 64
    leaves: int = 500
    bias: float = 0.25
    enclosure: float = 0.5
    containment: float = 1.35
    fit: float = 0.7
    colour: float = 0.3
    region_colour: float = 0.4
    vote_iou: float = 0.5

    def __post_init__(self) -> None:
        for name, low, high in (("side", 16, 4000), ("words", 1, 256), ("leaves", 1, 5000)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; it must lie in {low} to {high}")
        for name in ("enclosure", "containment", "fit", "colour", "region_colour"):
            value = getattr(self, name)
            if not 0 <= value <= 100:
                raise ValueError(f"{name} is {value}; it must lie in 0 to 100")
        if not 0 < self.vote_iou <= 1:
            raise ValueError(f"vote_iou is {self.vote_iou}; it must lie in (0, 1]")
        if not -100 <= self.bias <= 100:
            raise ValueError(f"bias is {self.bias}; it must lie in -100 to 100")


@dataclass(frozen=True)
class OpenCVParams:
    """Method `opencv`, the paper's own: `cv2.grabCut` on the whole image from the box's rectangle; empty -> whole box.

    long_side: pixels of the image's longer side while it runs.
    iterations: of GrabCut's estimate-and-cut loop.
    """

    long_side: int = 400
    iterations: int = 5

    def __post_init__(self) -> None:
        if self.long_side < 16:
            raise ValueError(f"long_side is {self.long_side}; it must be at least 16")
        if self.iterations < 1:
            raise ValueError(f"iterations is {self.iterations}; it must be at least 1")


@dataclass(frozen=True)
class GrabcutParams:
    """Seeds and their masks.

    method: `colour-cut`, better and faster; `opencv`, the paper's own; or `proposal-masks`, the masks that came with
        the proposals (method `masks`, or `mcg` with `masks`), without looking at pixels.
    seeds: `cover` (greedy: every proposal has a seed with IoU >= cover_iou) or `all` proposals.
    cover_iou: t of the cover.
    capacity: Q, rows of the arrays; null: DEFAULT_COVER_CAPACITY for `cover`, P for `all`. Where a cover needs more
        seeds, those that cover most proposals are kept.
    """

    method: Literal["colour-cut", "opencv", "proposal-masks"] = "colour-cut"
    seeds: Literal["cover", "all"] = "cover"
    cover_iou: float = 0.8
    capacity: int | None = None
    colour_cut: ColourCutParams = field(default_factory=ColourCutParams)
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
        return proposals if self.seeds == "all" else min(DEFAULT_COVER_CAPACITY, proposals)


DEFAULT_COVER_CAPACITY = 1024
"""Q of `cover`: docs/seeds.md tells how many seeds covers need."""
