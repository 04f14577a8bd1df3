"""What `--set` takes: the parameters of every stage and of the store, with their defaults."""

from dataclasses import dataclass
from typing import Any

from stages.grabcut.parameters import GrabcutParams
from stages.iou_graph.stage import IouGraphParams
from stages.proposals.params import METHODS


@dataclass(frozen=True)
class StoreSettings:
    """How the store is made and continued.

    shard: images in a shard, the unit of work and of files; null: by their number (32 to 512), or the store's.
    accept_packages: continue a stage although versions of packages changed.
    """

    shard: int | None = None
    accept_packages: bool = False


def setting_defaults() -> list[tuple[str, Any]]:
    """(name before the first dot, default parameters); `proposals` once for each of its methods."""
    proposals: list[tuple[str, Any]] = [("proposals", params) for params in METHODS.values()]
    return [*proposals, ("iou-graph", IouGraphParams()), ("grabcut", GrabcutParams()), ("store", StoreSettings())]
