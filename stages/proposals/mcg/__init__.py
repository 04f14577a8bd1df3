"""Multiscale combinatorial grouping (MCG): object proposals with region masks, from pixels.

After Pont-Tuset, Arbelaez, Barron, Marques and Malik, TPAMI 2017; written anew, with other ingredients
(docs/proposals.md).
`mcg_proposals` is loaded on first use: importing this package imports neither numba nor torch.
"""

from typing import TYPE_CHECKING, Any

from stages.proposals.mcg.params import McgParams

if TYPE_CHECKING:
    from stages.proposals.mcg.method import mcg_proposals

__all__ = ["McgParams", "mcg_proposals"]


def __getattr__(name: str) -> Any:
    if name == "mcg_proposals":
        from stages.proposals.mcg.method import mcg_proposals

        return mcg_proposals
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
