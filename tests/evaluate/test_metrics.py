"""COCO AP: hand-computed cases, and plain pycocotools on real annotations."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from data.records import ImageList, ImageRecord
from data.truth import ImageTruth, TruthObject
from pdsl.evaluate.evaluation_set import read_evaluation_set
from pdsl.evaluate.metrics import coco_metrics
from pdsl.evaluate.protocols import PROTOCOLS
from pdsl.evaluate.results import from_coco
from pdsl.evaluate.summary import evaluate_predictions
from pdsl.evaluate.targets import ImageTargets
from tests.data.layouts import write_image
from tests.evaluate.makers import detection, image_truth, truth_object

CLASSES = ("cat", "dog", "bird")


def test_one_exact_detection_is_100() -> None:
    truth = [image_truth("a", truth_object(0, (10, 10, 60, 70)))]
    metrics = coco_metrics([detection("a", 0, 0.9, (10, 10, 60, 70))], truth, CLASSES)
    for kind in ("mask", "box"):
        assert metrics[kind]["AP"] == metrics[kind]["AP25"] == metrics[kind]["AP75"] == pytest.approx(100, abs=1e-3)
        assert metrics[kind]["APm"] == pytest.approx(100, abs=1e-3)
        assert metrics[kind]["APs"] is None and metrics[kind]["APl"] is None
        assert set(metrics[kind]["per_class"]) == {"cat"}


def test_iou_decides_at_which_thresholds_it_counts() -> None:
    """40 of 50 columns: IoU 0.8, so 7 of the 10 COCO thresholds (0.50 … 0.80) are met."""
    truth = [image_truth("a", truth_object(1, (0, 0, 50, 50)))]
    metrics = coco_metrics([detection("a", 1, 0.5, (0, 0, 40, 50))], truth, CLASSES)
    assert metrics["box"]["AP"] == pytest.approx(70, abs=1e-2)
    assert metrics["mask"]["AP"] == pytest.approx(70, abs=1e-2)
    assert metrics["box"]["AP75"] == pytest.approx(100, abs=1e-2)


def test_iou_between_25_and_50_counts_at_25_only() -> None:
    truth = [image_truth("a", truth_object(0, (0, 0, 100, 40)))]
    metrics = coco_metrics([detection("a", 0, 0.5, (0, 0, 30, 40))], truth, CLASSES)
    assert metrics["box"]["AP25"] == pytest.approx(100, abs=1e-2)
    assert metrics["box"]["AP50"] == metrics["box"]["AP70"] == 0


def test_false_positive_above_the_hit_halves_precision() -> None:
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)))]
    found = [detection("a", 0, 0.9, (60, 60, 90, 90)), detection("a", 0, 0.5, (0, 0, 40, 40))]
    assert coco_metrics(found, truth, CLASSES)["mask"]["AP50"] == pytest.approx(50, abs=1e-2)


def test_two_detections_of_one_object_are_a_hit_and_a_miss() -> None:
    """Precision 1, then 1/2, then 2/3; recall 1/2, 1/2, 1: 51 recall points at 1 and 50 at 2/3."""
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)), truth_object(0, (50, 50, 90, 90)))]
    boxes = [(0.9, (0, 0, 40, 40)), (0.8, (0, 0, 41, 40)), (0.7, (50, 50, 90, 90))]
    found = [detection("a", 0, score, box) for score, box in boxes]
    expected = 100 * (51 + 50 * 2 / 3) / 101
    assert coco_metrics(found, truth, CLASSES)["box"]["AP50"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("flag", ["difficult", "crowd"])
def test_difficult_and_crowd_are_neither_hit_nor_miss(flag: str) -> None:
    ignored = truth_object(0, (60, 60, 100, 100), **{flag: True})
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)), ignored)]
    hit = detection("a", 0, 0.5, (0, 0, 40, 40))
    on_ignored = [detection("a", 0, 0.9, (60, 60, 100, 100)), detection("a", 0, 0.8, (60, 60, 98, 100))]
    metrics = coco_metrics([hit, *on_ignored], truth, CLASSES)
    assert metrics["box"]["AP"] == metrics["mask"]["AP"] == pytest.approx(100, abs=1e-2)
    assert metrics["box"]["per_class"]["cat"]["objects"] == 1


def test_a_part_of_a_crowd_is_ignored_but_a_part_of_a_difficult_object_is_wrong() -> None:
    small_part = detection("a", 0, 0.9, (60, 60, 75, 75))
    hit = detection("a", 0, 0.5, (0, 0, 40, 40))
    for flag, expected in (("crowd", 100), ("difficult", 50)):
        ignored = truth_object(0, (60, 60, 100, 100), **{flag: True})
        truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)), ignored)]
        assert coco_metrics([small_part, hit], truth, CLASSES)["mask"]["AP50"] == pytest.approx(expected, abs=1e-2)


def test_a_detection_mostly_in_void_is_ignored_by_the_mask_metrics_only() -> None:
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)), void=(60, 60, 100, 100))]
    found = [detection("a", 0, 0.9, (65, 60, 105, 100)), detection("a", 0, 0.5, (0, 0, 40, 40))]
    metrics = coco_metrics(found, truth, CLASSES)
    assert metrics["mask"]["AP50"] == pytest.approx(100, abs=1e-2)
    assert metrics["box"]["AP50"] == pytest.approx(50, abs=1e-2)


def test_void_does_not_save_what_lies_mostly_outside_it() -> None:
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)), void=(60, 60, 70, 100))]
    found = [detection("a", 0, 0.9, (60, 60, 100, 100)), detection("a", 0, 0.5, (0, 0, 40, 40))]
    assert coco_metrics(found, truth, CLASSES)["mask"]["AP50"] == pytest.approx(50, abs=1e-2)


def test_an_object_without_mask_in_an_image_with_masks_is_ignored_there() -> None:
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)), truth_object(0, (60, 60, 90, 90), mask=False))]
    found = [detection("a", 0, 0.9, (60, 60, 90, 90)), detection("a", 0, 0.5, (0, 0, 40, 40))]
    metrics = coco_metrics(found, truth, CLASSES)
    assert metrics["mask"]["per_class"]["cat"]["objects"] == 1
    assert metrics["mask"]["AP50"] == pytest.approx(100, abs=1e-2)
    assert metrics["box"]["per_class"]["cat"]["objects"] == 2


def test_images_without_masks_take_no_part_in_the_mask_metrics() -> None:
    boxes_only = image_truth("b", truth_object(0, (0, 0, 40, 40), mask=False), has_masks=False)
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40))), boxes_only]
    metrics = evaluate_predictions([detection("a", 0, 0.9, (0, 0, 40, 40))], truth, CLASSES)
    assert metrics["mask"]["AP50"] == pytest.approx(100, abs=1e-2)
    assert metrics["box"]["AP50"] == pytest.approx(100 * 51 / 101, abs=1e-2)
    assert (metrics["images"], metrics["mask_images"], metrics["detections"]) == (2, 1, 1)


def test_no_detections_is_zero_and_no_objects_is_undefined() -> None:
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)))]
    assert coco_metrics([], truth, CLASSES)["mask"]["AP"] == 0
    empty = coco_metrics([detection("a", 0, 0.9, (0, 0, 40, 40))], [image_truth("a")], CLASSES)
    assert empty["box"]["AP"] is None and empty["box"]["per_class"] == {}
    assert coco_metrics([], [], CLASSES)["mask"]["AP"] is None


def test_a_class_without_objects_and_an_image_without_objects() -> None:
    """A detection of an absent class does not count; one of a present class in an empty image is wrong."""
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40))), image_truth("b")]
    hit = detection("a", 0, 0.5, (0, 0, 40, 40))
    other_class = detection("a", 2, 0.99, (0, 0, 40, 40))
    assert coco_metrics([hit, other_class], truth, CLASSES)["box"]["AP50"] == pytest.approx(100, abs=1e-2)
    empty_image = detection("b", 0, 0.99, (0, 0, 40, 40))
    assert coco_metrics([hit, empty_image], truth, CLASSES)["box"]["AP50"] == pytest.approx(50, abs=1e-2)


def test_boxes_without_masks_have_no_mask_figures() -> None:
    truth = [image_truth("a", truth_object(0, (0, 0, 40, 40)))]
    metrics = evaluate_predictions([detection("a", 0, 0.9, (0, 0, 40, 40), mask=False)], truth, CLASSES)
    assert metrics["mask"]["AP"] is None and metrics["voc"]["mask"]["AP50"] is None
    assert metrics["box"]["AP"] == pytest.approx(100, abs=1e-2)


@pytest.mark.real
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_equals_plain_pycocotools_on_real_annotations(shared: Path, kind: str) -> None:
    annotations = json.loads((shared / "data/coco/annotations/instances_val2017.json").read_text())
    rows = _perturbed(annotations, kind)
    images, truth = _as_truth(annotations)
    metrics = coco_metrics(from_coco(rows, images, "rows"), truth, images.class_names)[
        "box" if kind == "bbox" else "mask"
    ]
    plain = _plain(annotations, rows, kind)
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    assert [metrics[name] for name in names] == pytest.approx([100 * v for v in plain], abs=1e-4)
    assert 5 < metrics["AP"] < 95  # the perturbation leaves something to measure


def test_an_iou_just_at_a_threshold_counts_as_in_plain_pycocotools(tmp_path: Path) -> None:
    """Boxes of one decimal, each found by half of it: neither float32 nor x + width - x may decide."""
    boxes = [[round(0.1 * k, 1), 3.7, round(10.3 + 0.7 * k, 1), 20.9] for k in range(30)]
    annotations = {
        "images": [{"id": k, "file_name": f"{k}.jpg", "height": 80, "width": 90} for k in range(30)],
        "categories": [{"id": 0, "name": "cat"}],
        "annotations": [
            {"id": k + 1, "image_id": k, "category_id": 0, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for k, box in enumerate(boxes)
        ],
    }
    rows = [
        {"image_id": k, "category_id": 0, "score": 0.9 - 0.01 * k, "bbox": [box[0], box[1], box[2] / 2, box[3]]}
        for k, box in enumerate(boxes)
    ]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val.json").write_text(json.dumps(annotations))
    for k in range(30):
        write_image(tmp_path / "val" / f"{k}.jpg", (80, 90))
    given = read_evaluation_set(f"coco:{tmp_path}", "val", None)
    found = coco_metrics(from_coco(rows, given.images, "rows"), given.truth, ("cat",))["box"]
    plain = _plain(annotations, rows, "bbox")
    assert 0.2 < plain[1] < 1  # pycocotools itself rounds some of them down
    assert [found["AP"], found["AP50"], found["APs"]] == pytest.approx([100 * plain[k] for k in (0, 1, 3)], abs=1e-4)


def _perturbed(annotations: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Ground truth shifted, dropped, doubled and relabelled, with random scores."""
    rng = np.random.default_rng(7)
    sizes = {i["id"]: (i["height"], i["width"]) for i in annotations["images"]}
    categories = [c["id"] for c in annotations["categories"]]
    rows = []
    for a in annotations["annotations"] * 2:
        if rng.random() < 0.3:
            continue
        category = a["category_id"] if rng.random() < 0.8 else int(rng.choice(categories))
        row = {"image_id": a["image_id"], "category_id": category, "score": round(float(rng.random()), 2)}
        shift = rng.normal(0, 0.08, 2) * a["bbox"][2:]
        if kind == "bbox":
            row["bbox"] = [a["bbox"][0] + shift[0], a["bbox"][1] + shift[1], *a["bbox"][2:]]
        else:
            mask = rle_tools.decode(_rle(a["segmentation"], sizes[a["image_id"]]))
            moved = np.roll(mask, shift.astype(int)[::-1], (0, 1))
            rle = rle_tools.encode(np.asfortranarray(moved))
            row["segmentation"] = {"size": rle["size"], "counts": rle["counts"].decode()}
        rows.append(row)
    return rows


def _as_truth(annotations: dict[str, Any]) -> tuple[ImageList, list[ImageTargets]]:
    classes = {c["id"]: index for index, c in enumerate(annotations["categories"])}
    sizes = {i["id"]: (i["height"], i["width"]) for i in annotations["images"]}
    objects: dict[int, list[TruthObject]] = {image_id: [] for image_id in sizes}
    for a in annotations["annotations"]:
        x, y, w, h = a["bbox"]
        rle = _rle(a["segmentation"], sizes[a["image_id"]])
        box = np.array([x, y, x + w, y + h])
        item = TruthObject(classes[a["category_id"]], box, rle, crowd=bool(a["iscrowd"]), area=a["area"])
        objects[a["image_id"]].append(item)
    coco = PROTOCOLS["coco"]
    truth = [ImageTargets(ImageTruth(str(i), sizes[i], tuple(objects[i]), has_masks=True), coco) for i in sizes]
    records = tuple(ImageRecord(str(i), "", sizes[i], ()) for i in sizes)
    names = tuple(c["name"] for c in annotations["categories"])
    return ImageList("coco:", "val2017", names, tuple(classes), records), truth


def _plain(annotations: dict[str, Any], rows: list[dict[str, Any]], kind: str) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = annotations
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(rows), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(v) for v in evaluation.stats[:6]]


def _rle(segmentation: Any, size: tuple[int, int]) -> dict[str, Any]:
    rle = rle_tools.frPyObjects(segmentation, *size)
    return rle_tools.merge(rle) if isinstance(rle, list) else rle
