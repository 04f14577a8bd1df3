"""How many combinations of regions are looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TupleCounts:
    """How many regions and combinations of regions each hierarchy contributes, from the top.

    singles: single regions.
    pairs, triplets, quadruplets: combinations of two, three and four neighbouring regions.
    """

    singles: int = 1400
    pairs: int = 3000
    triplets: int = 4000
    quadruplets: int = 300

    def __post_init__(self) -> None:
        for name, least in (("singles", 1), ("pairs", 0), ("triplets", 0), ("quadruplets", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")
