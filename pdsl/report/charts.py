"""Curves of losses and of figures as inline SVG that takes the page's text colour."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from pdsl.report.palette import CLASS_COLOURS, hex_colour

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


def loss_curves(entries: Sequence[Mapping[str, Any]]) -> str:
    """SVG with the total loss on the left and its parts on the right; "" where there is nothing to draw."""
    entries = [entry for entry in entries if "loss" in entry]  # others hold figures alone
    if len(entries) < 2:
        return ""
    steps = [entry["step"] for entry in entries]
    with _style():
        figure, (total, parts) = _panels("total loss (Eq. 1)", "its parts")
        total.plot(steps, [entry["loss"] for entry in entries], color=hex_colour(CLASS_COLOURS[6]), linewidth=2)
        for (name, values), colour in zip(_grouped(entries).items(), CLASS_COLOURS, strict=False):
            parts.plot(steps, values, color=hex_colour(colour), linewidth=1.8, label=name)
        parts.set_yscale("log")
        return _svg(figure, parts)


def validation_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """SVG of AP50 of masks on the left and of boxes on the right, over the updates, one curve a run, as in Fig. 3.

    runs: name -> log entries; with one run AP and AP75 are drawn too. "" where no run was evaluated twice.
    """
    curves = {name: [e for e in entries if "validation" in e] for name, entries in runs.items()}
    curves = {name: entries for name, entries in curves.items() if len(entries) > 1}
    if not curves:
        return ""
    shown = ("AP50", "AP", "AP75") if len(runs) == 1 else ("AP50",)
    with _style():
        figure, panels = _panels("masks, percent", "boxes, percent")
        for axes, kind in zip(panels, ("mask", "box"), strict=True):
            colours = iter(CLASS_COLOURS)
            for name, entries in curves.items():
                for figure_name in shown:
                    values = [entry["validation"][kind][figure_name] or 0.0 for entry in entries]
                    label = figure_name if len(runs) == 1 else f"{name}: {figure_name}"
                    steps = [entry["step"] for entry in entries]
                    axes.plot(steps, values, color=hex_colour(next(colours)), linewidth=2, label=label)
            axes.set_xlim(left=0)
            axes.set_ylim(bottom=0)
        return _svg(figure, panels[1])


def _style() -> Any:
    """matplotlib's settings for a chart that stands in a page."""
    import matplotlib

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 11,
        "svg.hashsalt": "pdsl",
    }
    style |= dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
    return matplotlib.rc_context(style)


def _panels(*titles: str) -> tuple[Any, Any]:
    """A figure with one panel a title, over the updates."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    panels = figure.subplots(1, len(titles))
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("update")
        axes.set_facecolor("none")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.18, color=INK, linewidth=0.6)
    return figure, panels


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


def _svg(figure: Any, last: Any) -> str:
    """The figure as text, with a legend beside its `last` panel."""
    last.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")
