"""Scores of objects by size of the object and kind of image, and as distributions: tables of Markdown and a figure."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.cues.judging import NUMBERS, ObjectScore

THRESHOLDS = (0.5, 0.7, 0.85)
SIZES = {"S": (0, 32**2), "M": (32**2, 96**2), "L": (96**2, np.inf)}
"""COCO's, in square pixels of the annotated area."""
COUNTS = {"1 or 2 objects": (1, 3), "3 to 7": (3, 8), "8 and more": (8, np.inf)}
LARGEST = {"largest < 10 %": (0, 0.1), "10 to 30 %": (0.1, 0.3), "> 30 %": (0.3, np.inf)}
"""Of the image, by the box of its largest object."""
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)

Scores = Sequence[ObjectScore]


def groups(scores: Scores) -> Iterator[tuple[str, Scores]]:
    """All objects, then those of each size and of each kind of image; empty groups are left out."""
    yield "all", scores
    for limits, column in ((SIZES, "area"), (COUNTS, "objects"), (LARGEST, "largest")):
        for name, (low, high) in limits.items():
            if mine := [score for score in scores if low <= getattr(score, column) < high]:
                yield name, mine


def recalls(best: np.ndarray) -> str:
    """Shares of IoUs (n,) above each of THRESHOLDS."""
    return " / ".join(f"{(best > threshold).mean():.3f}" for threshold in THRESHOLDS)


def boxes_table(found: Mapping[str, Scores]) -> Iterator[str]:
    """Recall of boxes at IoU THRESHOLDS by number of proposals."""
    yield from _head("Source", *(f"{number:,}" for number in NUMBERS))
    for name, scores in found.items():
        best = np.array([score.box for score in scores])
        yield _line(name, *(recalls(column) for column in best.T))


def groups_table(found: Mapping[str, Scores]) -> Iterator[str]:
    """What proposals and seeds are worth in each group of objects."""
    yield from _head(
        "Source", "objects", "n", "boxes, 2,000", "boxes, 500", "masks of seeds", "mean best mask", "nearest seed",
        "targets", "of",
    )  # fmt: skip
    for name, scores in found.items():
        for group, mine in groups(scores):
            box = np.array([score.box for score in mine])
            mask = np.array([score.mask for score in mine])
            target = np.array([score.target for score in mine])
            yield _line(
                name,
                group,
                str(len(mine)),
                recalls(box[:, NUMBERS.index(2000)]),
                recalls(box[:, NUMBERS.index(500)]),
                recalls(mask),
                f"{mask.mean():.3f}",
                _mean(np.array([score.seed for score in mine])),
                _mean(target),
                f"{np.isfinite(target).mean():.2f}",
            )


def distributions_table(found: Mapping[str, Scores]) -> Iterator[str]:
    """Quantiles over objects of what is a number of each."""
    yield from _head("Source", "IoU", *(f"{quantile:.0%}" for quantile in QUANTILES))
    for name, scores in found.items():
        for what, values in _distributed(scores).items():
            if len(values):
                yield _line(name, what, *(f"{value:.3f}" for value in np.quantile(values, QUANTILES)))


def draw(found: Mapping[str, Scores], path: Path) -> None:
    """Share of the objects of each size whose best proposal (above) and nearest seed (below) reach an IoU."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 5.0), layout="constrained")
    axes = figure.subplots(2, len(SIZES), sharex=True, sharey=True)
    for column, (size, (low, high)) in enumerate(SIZES.items()):
        for name, scores in found.items():
            mine = [score for score in scores if low <= score.area < high]
            best = [score.box[NUMBERS.index(2000)] for score in mine]
            seed = np.nan_to_num([score.seed for score in mine])
            for row, values in enumerate((best, seed)):
                axes[row, column].plot(np.sort(values), np.linspace(1, 0, len(values)), label=name, linewidth=1.2)
        axes[0, column].set_title(f"{size} ({len(mine)})", fontsize=9)
        axes[1, column].set_xlabel("IoU at least")
    for row, label in enumerate(("best of 2,000 boxes", "mask of nearest seed")):
        axes[row, 0].set_ylabel(label, fontsize=9)
    axes[0, 0].set(xlim=(0, 1), ylim=(0, 1))
    lines, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _distributed(scores: Scores) -> dict[str, np.ndarray]:
    columns = {
        "best box": [score.box[NUMBERS.index(2000)] for score in scores],
        "nearest seed": [score.seed for score in scores],
        "target": [score.target for score in scores],
    }
    return {what: np.array(values)[np.isfinite(values)] for what, values in columns.items()}


def _mean(values: np.ndarray) -> str:
    """Of those that are numbers."""
    known = values[np.isfinite(values)]
    return f"{known.mean():.3f}" if len(known) else ""


def _head(*names: str) -> Iterator[str]:
    yield _line(*names)
    yield "|---" * len(names) + "|"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
