"""Figures of several variants over several seeds, as tables in Markdown."""

from collections.abc import Mapping, Sequence

import numpy as np

Figures = Mapping[str, float]
Results = Mapping[str, Sequence[Figures]]
"""By variant, the figures of each seed, in the order of the seeds; not every variant has as many."""


def table(results: Results, reference: str) -> str:
    """One row a variant: mean ± spread (largest minus smallest) of each figure, and what the part that it lacks is
    worth beside the variant `reference`."""
    names = list(results[reference][0])
    lines = ["| Variant | " + " | ".join(names) + " | the part's worth |", "|---" * (len(names) + 2) + "|"]
    for variant, runs in results.items():
        worth = "" if variant == reference else verdict(results[reference], runs, names)
        lines.append(f"| {variant} | {' | '.join(_cell(runs, name) for name in names)} | {worth} |")
    return "\n".join(lines)


def paired(results: Results, reference: str) -> str:
    """`reference` minus variant, seed by seed, as both begin with the same random numbers."""
    names = list(results[reference][0])
    lines = [f"| {reference.capitalize()} minus … | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for variant, runs in results.items():
        if variant != reference:
            pairs = list(zip(results[reference], runs, strict=False))
            cells = [", ".join(f"{full[name] - run[name]:+.1f}" for full, run in pairs) for name in names]
            lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(runs: Sequence[Figures], name: str) -> float:
    """Largest minus smallest of a figure over the seeds."""
    values = [run[name] for run in runs]
    return max(values) - min(values)


def verdict(full: Sequence[Figures], without: Sequence[Figures], names: Sequence[str]) -> str:
    """Which figures the part raises or lowers by more than the spread of either side; else that it is not shown."""
    if min(len(full), len(without)) < 2:
        return "one seed"
    parts = []
    for name in names:
        gain = _mean(full, name) - _mean(without, name)
        if abs(gain) > max(spread(full, name), spread(without, name)):
            parts.append(f"{name} {gain:+.1f}")
    return ", ".join(parts) or "within the spread"


def _cell(runs: Sequence[Figures], name: str) -> str:
    return f"{_mean(runs, name):.1f}" + (f" ± {spread(runs, name):.1f}" if len(runs) > 1 else "")


def _mean(runs: Sequence[Figures], name: str) -> float:
    return float(np.mean([run[name] for run in runs]))
