"""What `precompute --dry-run` prints: images, bytes and hours of what would be run."""

from collections.abc import Mapping, Sequence
from typing import Any

from data.durations import duration
from pipeline.cost import Estimate, UnitCost, readable_bytes
from stages.registry import STAGE_NAMES

SEEDS = STAGE_NAMES[-1]


def print_costs(title: str, estimates: Sequence[Estimate], workers: int, shard: int) -> None:
    """A table under the store's name. shard: images a task has; no more workers than tasks can be of use."""
    wide = f"with {workers} worker{'s' if workers > 1 else ''}"
    print(title)
    print(f"{'stage':<12}{'images':>10}{'bytes':>10}{'core-hours':>12}{wide:>18}  measured on")
    for estimate in estimates:
        name, todo, cost = estimate.stage, estimate.images, estimate.cost
        if cost is None:
            print(f"{name:<12}{todo:>10}  (every sample image failed: no estimate)")
            continue
        hours, size = core_hours(estimate), readable_bytes(todo * cost.bytes)
        at_once = max(1, min(workers, -(-todo // shard)))
        wall = duration(todo * cost.clock / at_once)
        print(f"{name:<12}{todo:>10}{size:>10}{hours:>12.3g}{wall:>18}  {_measured_on(cost)}")


def core_hours(estimate: Estimate) -> float:
    """Of all images that are left; 0 without a cost."""
    return estimate.images * estimate.cost.core / 3600 if estimate.cost else 0.0


def is_authors_setting(settings: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the user chose GrabCut as the authors run it."""
    return settings.get(SEEDS, {}).get("method") == "opencv"


def compared(chosen: Estimate, default: Estimate) -> str:
    """How the authors' GrabCut compares with the default masks, in a line."""
    return (
        f"grabcut.method=opencv is OpenCV's GrabCut in the authors' setting, box by box: {core_hours(chosen):.3g} "
        f"core-hours. The default (colour-cut on a cover of the proposals) takes {core_hours(default):.3g} and gives "
        "better masks (docs/seeds.md)"
    )


def _measured_on(cost: UnitCost) -> str:
    part = f", {cost.share:.2g} of the seeds of each" if cost.share < 1 else ""
    return f"{cost.images} image{'s' if cost.images > 1 else ''}{part}"
