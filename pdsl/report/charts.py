"""Curves of losses and of figures as inline SVG that takes the page's text colour."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pdsl.report.palette import CURVE_COLOURS, hex_colour

INK = "#010203"
"""Stands for the page's text colour; replaced by `currentColor`."""
GROUPS = {
    "image labels (Eq. 2)": ("mil", ""),
    "refinement: class (Eq. 3)": ("refine", ".class"),
    "refinement: box (Eq. 3)": ("refine", ".box"),
    "masks (Eq. 5)": ("mask", ""),
    "correlation (Eq. 8)": ("correlation", ""),
}
"""Curve -> what the names of its loss terms begin and end with; the terms of a curve are added."""

LINES: Sequence[Any] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "svg.hashsalt": "pdsl",
    "text.parse_math": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}
"""matplotlib's settings for a chart that stands in a page."""


def loss_charts(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """SVGs of the total loss and of its parts; none where there is nothing to draw."""
    entries = [entry for entry in entries if "loss" in entry]  # others hold figures alone
    if len(entries) < 2:
        return []
    steps = [entry["step"] for entry in entries]
    total = {"": (steps, [entry["loss"] for entry in entries])}
    parts = {name: (steps, values) for name, values in _grouped(entries).items()}
    return [_chart("total loss (Eq. 1)", total), _chart("its parts", parts, log=True)]


def validation_charts(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """SVGs of AP50 of masks and of boxes over the updates, one curve a run, as in Fig. 3.

    runs: name -> log entries; with one run AP and AP75 are drawn too. None where no run was evaluated twice.
    """
    evaluated = {name: [e for e in entries if "validation" in e] for name, entries in runs.items()}
    evaluated = {name: entries for name, entries in evaluated.items() if len(entries) > 1}
    if not evaluated:
        return []
    shown = ("AP50", "AP", "AP75") if len(runs) == 1 else ("AP50",)
    charts = []
    for title, kind in (("masks, percent", "mask"), ("boxes, percent", "box")):
        curves = {
            figure if len(runs) == 1 else f"{name}: {figure}": (
                [entry["step"] for entry in entries],
                [entry["validation"][kind][figure] or 0.0 for entry in entries],
            )
            for name, entries in evaluated.items()
            for figure in shown
        }
        charts.append(_chart(title, curves, from_zero=True))
    return charts


def _chart(
    title: str,
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    log: bool = False,
    from_zero: bool = False,
) -> str:
    """An SVG of curves (updates, values) by name, told apart by colour and by kind of line; wide enough for a phone."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 3.3 + 0.2 * (len(curves) // 2)), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title, fontsize=11, loc="left")
        axes.set_xlabel("update")
        axes.set_facecolor("none")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.18, color=INK, linewidth=0.6)
        for number, (name, (steps, values)) in enumerate(curves.items()):
            colour, line = CURVE_COLOURS[number % len(CURVE_COLOURS)], LINES[number % len(LINES)]
            axes.plot(steps, values, color=hex_colour(colour), linestyle=line, linewidth=1.8, label=name)
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
        if from_zero:
            axes.set_xlim(left=0)
            axes.set_ylim(bottom=0)
        if any(curves):
            figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9, handlelength=3)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r'<g id="[^"]*"', "<g", text[text.index("<svg") :])  # nothing refers to them, and a page has several
    return text.replace(INK, "currentColor")


def _grouped(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Curves by name, those whose terms never occur or are always 0 left out; terms of no group keep their name."""
    curves: dict[str, list[float]] = {}
    for name in dict.fromkeys(name for entry in entries for name in entry["terms"]):
        values = [float(entry["terms"].get(name, 0.0)) for entry in entries]
        group = _group_of(name)
        curves[group] = [a + b for a, b in zip(curves.get(group, [0.0] * len(values)), values, strict=True)]
    return {name: values for name, values in curves.items() if any(values)}


def _group_of(term: str) -> str:
    for label, (start, end) in GROUPS.items():
        if term.startswith(start) and term.endswith(end):
            return label
    return term
