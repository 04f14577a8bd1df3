"""The page and its parts."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.records import ImageList, ImageRecord
from pdsl.evaluate.evaluation import Evaluation
from pdsl.evaluate.evaluation_set import EvaluationSet
from pdsl.evaluate.summary import evaluate_predictions
from pdsl.report import html
from pdsl.report.charts import loss_curves, validation_curves
from pdsl.report.evidence import Evidence, central_proposal, neighbours_picture, seeds_picture, shown_seeds
from pdsl.report.gallery import judge, shown, spread
from pdsl.report.report import write_report
from pdsl.run.folder import read_log
from store.contents import IouGraph, Seeds
from tests.evaluate.makers import SIZE, detection, image_truth, truth_object

NAMES = ("cat", "<dog>")


def test_a_report_of_next_to_nothing(tmp_path: Path) -> None:
    """No log, no configuration, no store, an image that is missing and one without objects; names are escaped."""
    Image.new("RGB", SIZE[::-1], (90, 120, 90)).save(tmp_path / "a.png")
    records = tuple(ImageRecord(n, str(tmp_path / f"{n}.png"), SIZE, (1,)) for n in "abc")
    images = ImageList("voc:here", "val", NAMES, (1, 2), records)
    truth = [image_truth("a", truth_object(1, (10, 10, 60, 60))), image_truth("b", truth_object(0, (0, 0, 9, 9)))]
    truth.append(image_truth("c"))
    found = [detection("a", 1, 0.8, (12, 10, 60, 60)), detection("c", 0, 0.9, (0, 0, 50, 50))]
    metrics = evaluate_predictions(found, truth, NAMES)
    out = tmp_path / "deep" / "report.html"
    write_report(tmp_path, out, Evaluation(EvaluationSet(images, truth), found, metrics))
    page = out.read_text()
    assert "<dog>" not in page and "&lt;dog&gt;" in page
    assert page.count("data:image/jpeg;base64,") >= 2
    assert "What was learnt" not in page and "<h2>Training</h2>" not in page


def test_verdicts() -> None:
    truth = image_truth("a", truth_object(0, (0, 0, 40, 40)), truth_object(1, (50, 50, 90, 90)))
    found = [detection("a", 0, 0.9, (0, 0, 40, 38)), detection("a", 0, 0.8, (1, 0, 40, 40))]
    verdict = judge(found, truth)
    assert verdict.text(NAMES) == "1 right; missed: <dog>; wrong: cat"
    assert verdict.quality == pytest.approx(2 / 4)
    assert judge([], image_truth("a")).quality == 1
    crowd = image_truth("a", truth_object(0, (0, 0, 90, 90), crowd=True))
    assert judge([detection("a", 0, 0.9, (0, 0, 20, 20))], crowd).quality == 1


def test_which_predictions_are_shown() -> None:
    listed = [detection("a", 0, score, (0, 0, 9, 9)) for score in (0.9, 0.4, 0.1)]
    assert [p.score for p in shown(listed)] == [0.9, 0.4]
    assert [p.score for p in shown(listed[2:])] == [0.1]
    assert shown([]) == []


def test_which_images_are_shown() -> None:
    truth = [image_truth(str(n), *([truth_object(0, (0, 0, 9, 9))] if n % 2 else [])) for n in range(21)]
    assert spread(truth, 3) == [1, 11, 19] or spread(truth, 3) == [1, 9, 19]
    assert spread(truth[:2], 3) == [1]


def test_curves_of_grouped_terms(tmp_path: Path) -> None:
    terms = {"mil": 1.0, "refine1.class": 0.5, "refine2.class": 0.25, "mask0": 0.7, "mask1": 0.0, "other": 0.1}
    log = tmp_path / "log.jsonl"
    entries = [json.dumps({"step": s, "loss": 2.0, "terms": terms}) for s in (1, 2, 3)]
    log.write_text("\n".join([*entries, '{"step": 4, "lo']))
    assert len(read_log(log)) == 3
    chart = loss_curves(read_log(log))
    assert chart.startswith("<svg") and "currentColor" in chart and "#010203" not in chart
    for name in ("image labels (Eq. 2)", "refinement: class (Eq. 3)", "masks (Eq. 5)", "other"):
        assert name in chart
    assert "correlation" not in chart
    assert loss_curves([]) == "" and read_log(tmp_path / "none") == []


def test_tables_and_sections_escape_text() -> None:
    assert html.section("a", "b") == ""
    assert "&lt;i&gt;" in html.section("<i>", "text", "content")
    assert "width:calc(100.0%" in html.bar_cell(120, "120")


def test_seeds_that_lie_apart_are_shown_best_first() -> None:
    box = np.array([[0, 0, 40, 40], [1, 0, 41, 40], [60, 60, 90, 90]], np.float32)
    mask = np.full((3, 56, 7), 255, np.uint8)
    neighbor, iou = np.array([[0, 1, 2], [1, 0, 2], [2, 0, 1]]), np.array([[1, 0.95, 0], [1, 0.95, 0], [1, 0, 0]])
    graph = IouGraph(neighbor, iou, np.array([2, 2, 1]))
    pixels = np.zeros((*SIZE, 3), np.uint8)
    evidence = Evidence(pixels, box, graph, Seeds(np.array([2, 1, 0]), mask))
    assert shown_seeds(evidence) == [2, 0]
    assert central_proposal(evidence) == 0
    assert np.asarray(seeds_picture(evidence)).any() and np.asarray(neighbours_picture(evidence)).any()
    bare = Evidence(pixels, box[:0])
    assert shown_seeds(bare) == [] and central_proposal(bare) == 0
    assert not np.asarray(seeds_picture(bare)).any() and not np.asarray(neighbours_picture(bare)).any()


def test_curves_of_figures(tmp_path: Path) -> None:
    def entries(*values: float | None) -> list[dict[str, object]]:
        figures = [{"AP": v, "AP50": v, "AP75": None} for v in values]
        return [
            {"step": 10 * step, "loss": 1.0, "terms": {}, "validation": {"mask": f, "box": f}}
            for step, f in enumerate(figures, 1)
        ]

    one = validation_curves({"run": [*entries(5.0, 20.0), {"step": 30, "loss": 1.0, "terms": {}}]})
    assert one.startswith("<svg") and all(name in one for name in ("AP50", "AP75", "masks", "boxes"))
    two = validation_curves({"parallel": entries(5.0, 20.0), "cascade": entries(4.0, None)})
    assert "parallel: AP50" in two and "cascade: AP50" in two and "AP75" not in two
    assert validation_curves({"run": entries(5.0)}) == "" and validation_curves({"run": []}) == ""
