"""Curves of a log."""

import json
from pathlib import Path

from pdsl.report.charts import loss_charts, validation_charts
from pdsl.run.folder import read_log


def test_curves_of_grouped_terms(tmp_path: Path) -> None:
    terms = {"mil": 1.0, "refine1.class": 0.5, "refine2.class": 0.25, "mask0": 0.7, "mask1": 0.0, "$x<y>$": 0.1}
    log = tmp_path / "log.jsonl"
    entries = [json.dumps({"step": s, "loss": 2.0, "terms": terms}) for s in (1, 2, 3)]
    log.write_text("\n".join([*entries, '{"step": 4, "lo']))
    assert len(read_log(log)) == 3
    total, parts = loss_charts(read_log(log))
    assert total.startswith("<svg") and "currentColor" in total and "#010203" not in total
    for name in ("image labels (Eq. 2)", "refinement: class (Eq. 3)", "masks (Eq. 5)", "$x&lt;y&gt;$"):
        assert name in parts
    assert "correlation" not in parts
    assert parts.count("stroke-dasharray") >= 3  # curves differ by more than colour
    assert loss_charts([]) == [] and read_log(tmp_path / "none") == []


def test_curves_of_figures() -> None:
    def entries(*values: float | None) -> list[dict[str, object]]:
        figures = [{"AP": v, "AP50": v, "AP75": None} for v in values]
        return [
            {"step": 10 * step, "loss": 1.0, "terms": {}, "validation": {"mask": f, "box": f}}
            for step, f in enumerate(figures, 1)
        ]

    masks, boxes = validation_charts({"run": [*entries(5.0, 20.0), {"step": 30, "loss": 1.0, "terms": {}}]})
    assert masks.startswith("<svg") and "masks, percent" in masks and "boxes, percent" in boxes
    assert all(name in chart for name in ("AP50", "AP75") for chart in (masks, boxes))
    two = validation_charts({"parallel": entries(5.0, 20.0), "cascade": entries(4.0, None)})
    assert "parallel: AP50" in two[0] and "cascade: AP50" in two[0] and "AP75" not in two[0]
    assert validation_charts({"run": entries(5.0)}) == [] and validation_charts({"run": []}) == []
