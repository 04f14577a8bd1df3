"""eval, predict, export and inspect as commands: what they write, and what they say of bad input."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from rich.console import Console

from commands import evaluate, export, image_stages, inspect, predict, train
from data.catalog import load_images
from data.errors import InputError
from data.records import ImageList
from data.scenes import write_scenes
from pdsl.classes import class_ids
from pdsl.config.inference import InferenceConfig
from pdsl.evaluate import targets
from pdsl.evaluate.evaluation import evaluate_model
from pdsl.evaluate.evaluation_set import read_evaluation_set
from pdsl.evaluate.results import read_results
from pdsl.evaluate.summary import print_metrics
from pdsl.evaluate.targets import ImageTargets, Kind, Target
from pdsl.report.report import write_report
from pdsl.report.run import report_run
from pdsl.run.trained import load_trained, untrained
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from stages.registry import build_stage
from store.create import create_or_open
from store.local import LocalObjects
from store.store import Store
from tests.train.makers import CONFIG, stages


def _options(scenes: Path) -> dict[str, Any]:
    return {"data": f"voc:{scenes / 'data'}", "split": "train", "store": str(scenes / "train.zarr")}


def test_eval_writes_metrics_predictions_and_report(
    scenes: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten scenes, one of which has no proposals: exit status 3. A comparison that was made once is in later reports."""
    dataset = read_evaluation_set(**_options(scenes))
    report_run(run_folder, dataset, out=tmp_path / "elsewhere", compare=True)
    status = evaluate.run(run=str(run_folder), results=None, tta=False, out=None, **_options(scenes))
    comparison = json.loads((run_folder / "comparison.json").read_text())
    assert set(comparison) == {"trained", "untrained", "boxes_as_masks"}
    shown = capsys.readouterr()
    assert status == 3 and "train_000009: stage 'proposals' failed" in shown.err and "AP75" in shown.out
    metrics = json.loads((run_folder / "metrics.json").read_text())
    assert {"AP", "AP25", "AP50", "AP70", "AP75", "APs", "APm", "APl", "per_class"} == set(metrics["mask"])
    assert metrics["images"] == 10 and metrics["step"] == 8 and list(metrics["failed"]) == ["train_000009"]
    assert metrics["box"] == comparison["trained"]["box"] == comparison["boxes_as_masks"]["box"]
    predictions = read_results(run_folder / "predictions.json", load_images(f"voc:{scenes / 'data'}", "train"))
    assert len(predictions) == metrics["detections"]
    page = (run_folder / "report.html").read_text()
    for heading in (
        "What was learnt",
        "Predictions beside ground truth",
        "What it learns from",
        "Training",
        "Per class",
    ):
        assert f"<h2>{heading}</h2>" in page
    assert "<link" not in page and "<script src" not in page and 'src="http' not in page
    assert "CorLoc (training images)" in page and metrics["learnt_from"] is True


def test_eval_with_other_settings_of_inference(scenes: Path, run_folder: Path, tmp_path: Path) -> None:
    """Only those: anything else is what the run was trained with."""
    options: dict[str, Any] = {"run": str(run_folder), "results": None, "tta": False, "out": str(tmp_path / "few")}
    evaluate.run(**options, **_options(scenes), settings=["inference.detections=1"])
    told = json.loads((tmp_path / "few/metrics.json").read_text())
    rows = json.loads((tmp_path / "few/predictions.json").read_text())
    assert told["inference"] == {"detections": 1} and "known_classes" not in told
    assert len({row["image_id"] for row in rows}) == len(rows) == 9
    for setting, message in (
        ("steps=3", "--set steps: of a trained run only inference.KEY=VALUE"),
        ("inference=3", "--set inference: of a trained run only"),
        ("inference.detection=3", "unknown key 'inference.detection'; did you mean 'detections'"),
        ("inference.nms=high", "inference.nms"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate.run(**options, **_options(scenes), settings=[setting])
    with pytest.raises(InputError, match="results are there already"):
        evaluate.run(**dict(options, results="x.json"), **_options(scenes), settings=["inference.nms=0.5"])


def test_figures_over_the_classes_that_the_run_knows(
    scenes: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model of some of the data set's classes: the others' zeros pull its means down. Page and terminal say so, and
    the terminal's tables, which end with the summary, leave the others out."""
    dataset, trained = read_evaluation_set(**_options(scenes)), load_trained(run_folder)
    few = replace(trained, config=replace(trained.config, classes={trained.class_names[0]: "other"}))
    evaluation = evaluate_model(few, dataset)
    found = evaluation.metrics
    known = found["known_classes"]
    assert known["classes"] == list(dataset.images.class_names[1:])
    shares = [figures["AP50"] for name, figures in found["box"]["per_class"].items() if name in known["classes"]]
    assert known["box"]["AP50"] == pytest.approx(np.mean(shares), abs=1e-3)
    assert set(known["mask"]) == {"AP", "AP25", "AP50", "AP70", "AP75"}
    said = f"means over the {len(known['classes'])} of {known['of']} classes that the run knows: mask AP "
    assert known["of"] == len(dataset.images.class_names) > len(known["classes"])
    write_report(run_folder, tmp_path / "few.html", evaluation)
    assert f"<p>As {said}" in (tmp_path / "few.html").read_text()
    print_metrics(found, Console(width=200), "title", labels_only=False)
    text = capsys.readouterr().out
    first = [line.split()[0] for line in text.splitlines() if line.strip()]
    assert trained.class_names[0] not in first and all(first.count(name) == 2 for name in known["classes"])
    assert text.index("image AP") < text.index("title") < text.index(said)
    whole = evaluate_model(trained, dataset)
    write_report(run_folder, tmp_path / "all.html", whole)
    assert "known_classes" not in whole.metrics and "means over" not in (tmp_path / "all.html").read_text()


def test_results_of_a_run_evaluated_as_anyones(scenes: Path, run_folder: Path, tmp_path: Path) -> None:
    """The same figures from predictions.json as from the run itself."""
    evaluate.run(run=str(run_folder), results=None, tta=False, out=None, **_options(scenes))
    options = _options(scenes) | {"store": None}
    results = str(run_folder / "predictions.json")
    assert evaluate.run(run=None, results=results, tta=False, out=str(tmp_path / "other"), **options) == 0
    one = json.loads((run_folder / "metrics.json").read_text())
    other = json.loads((tmp_path / "other" / "metrics.json").read_text())
    assert other["box"]["AP50"] == pytest.approx(one["box"]["AP50"], abs=0.02)
    assert other["mask"] == one["mask"]


def test_eval_with_test_time_augmentation(scenes: Path, run_folder: Path, tmp_path: Path) -> None:
    status = evaluate.run(run=str(run_folder), results=None, tta=True, out=str(tmp_path / "tta"), **_options(scenes))
    assert status == 3 and json.loads((tmp_path / "tta" / "metrics.json").read_text())["tta"] is True


def test_eval_refuses(scenes: Path, run_folder: Path, tmp_path: Path) -> None:
    options = _options(scenes)
    with pytest.raises(InputError, match="--run"):
        evaluate.run(run=None, results=None, tta=False, out=None, **options)
    with pytest.raises(InputError, match="--store"):
        evaluate.run(run=str(run_folder), results=None, tta=False, out=None, **options | {"store": None})
    with pytest.raises(InputError, match=r"checkpoints/last\.pt"):
        evaluate.run(run=str(tmp_path), results=None, tta=False, out=None, **options)
    with pytest.raises(InputError, match=r"val: 1 of 1 images are not in the store .*val_000000"):
        evaluate.run(run=str(run_folder), results=None, tta=False, out=None, **options | {"split": "val"})


def test_export_agrees_with_the_image_labels(scenes: Path, run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "pseudo.json"
    assert export.run(run=str(run_folder), out=str(out), **_options(scenes)) == 3
    coco = COCO(str(out))
    images = load_images(f"voc:{scenes / 'data'}", "train")
    for place, record in enumerate(images.records, 1):
        found = {a["category_id"] for a in coco.loadAnns(coco.getAnnIds(imgIds=place))}
        expected = set() if record.id.endswith("9") else {images.category_ids[c] for c in record.label}
        assert found == expected
    assert all(a["area"] > 0 and coco.annToMask(a).sum() == a["area"] for a in coco.anns.values())


def test_predict_makes_proposals_as_the_runs_store(scenes: Path, run_folder: Path, tmp_path: Path) -> None:
    images = load_images(f"voc:{scenes / 'data'}", "val")
    store = create_or_open(str(tmp_path / "s.zarr"), images)
    settings = {"method": "selective-search", "mode": "fast", "max_proposals": 50}
    stage = build_stage("proposals", settings)
    run_stage(store, images, stage, SerialExecutor())
    trained = load_trained(run_folder)
    object.__setattr__(trained.config.data, "stores", (str(tmp_path / "s.zarr"),))
    assert image_stages.proposal_stage(trained).plain_params() == stage.plain_params()


def test_predict_needs_neither_store_nor_data(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run folder and an image, on another machine: recipe and decoding are the checkpoint's."""
    images = replace(load_images(f"voc:{scenes / 'data'}", "train"), grey_bits=12, max_pixels=10**6)
    made = create_or_open(str(tmp_path / "s.zarr"), images, shard=4)
    for stage in stages():
        run_stage(made, images, stage, SerialExecutor())
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    given = {
        "config": str(tmp_path / "tiny.yaml"),
        "resume": False,
        "init": None,
        "overrides": ["steps=1"],
        "data": None,
    }
    assert train.run(stores=[made.url], out=str(tmp_path / "run"), **given) == 0
    shutil.rmtree(tmp_path / "s.zarr")
    monkeypatch.chdir(tmp_path)
    trained = load_trained("run")
    assert trained.proposals is not None and trained.proposals["params"] == {"jitter": 3.0}
    assert predict.training_decoding(trained) == {"exif": True, "max_pixels": 10**6, "grey_bits": 12}
    with pytest.raises(InputError, match="does not say how its proposals were made"):
        image_stages.proposal_stage(replace(trained, proposals=None))
    with pytest.raises(InputError, match="was trained with ready proposals"):
        image_stages.proposal_stage(replace(trained, proposals={"params": {"method": "files"}}))


def test_inspect_draws_what_there_is(scenes: Path, tmp_path: Path) -> None:
    store = str(scenes / "train.zarr")
    for image in ("train_000001", "train_000009"):  # the latter has no proposals
        assert inspect.run(store=store, image=image, out=str(tmp_path / "deep" / "p.png"), data=None) == 0
        with Image.open(tmp_path / "deep" / "p.png") as picture:
            assert min(picture.size) > 300
    with pytest.raises(InputError, match=r"has no such image; did you mean 'train_00000"):
        inspect.run(store=store, image="train_00001", out=str(tmp_path / "p.png"), data=None)
    with pytest.raises(InputError, match=r"end in \.png"):
        inspect.run(store=store, image="train_000001", out=str(tmp_path / "p.gif"), data=None)


def test_inspect_reads_what_it_draws(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the records of other shards than the image's: 10 images in shards of 4, of three stages."""
    keys: list[str] = []
    read = LocalObjects.read

    def recorded(self: LocalObjects, key: str, *bounds: int | None) -> bytes:
        keys.append(key)
        return read(self, key, *bounds)

    monkeypatch.setattr(LocalObjects, "read", recorded)
    inspect.run(store=str(scenes / "train.zarr"), image="train_000001", out=str(tmp_path / "p.png"), data=None)
    records = [key for key in keys if "/records/" in key]
    assert sorted(records) == [f"{group}/records/0-4.json" for group in ("grabcut", "iou_graph", "proposals")]


def test_the_report_reads_the_images_it_shows(
    scenes: Path, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is done once for a store is not done again for each picture."""
    dataset = read_evaluation_set(**_options(scenes))
    evaluation = evaluate_model(load_trained(run_folder), dataset)
    scans: list[str] = []
    status = Store.status

    def recorded(self: Store, group: str) -> np.ndarray:
        scans.append(group)
        return status(self, group)

    monkeypatch.setattr(Store, "status", recorded)
    write_report(run_folder, tmp_path / "r.html", evaluation)
    assert scans == ["grabcut"] * 2  # is the training store complete, and which of its images are shown


def test_targets_are_made_once(scenes: Path, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all figures and pictures of an evaluation, the comparison included."""
    made: list[tuple[str, str]] = []
    by_class = targets._by_class

    def recorded(image: ImageTargets, kind: Kind) -> dict[int, list[Target]]:
        made.append((image.id, kind))
        return by_class(image, kind)

    monkeypatch.setattr(targets, "_by_class", recorded)
    report_run(run_folder, read_evaluation_set(**_options(scenes)), out=tmp_path / "out", compare=True)
    assert len(made) == len(set(made)) == 20


def test_classes_are_matched_by_name(run_folder: Path) -> None:
    """Also under the run's `classes:`; a data set without any of the classes is refused."""
    trained = load_trained(run_folder)
    images = ImageList("voc:there", "val", ("moon", "cog", "cat"), (1, 2, 3), ())
    names, classes = trained.class_names, {"cog": "gear"}
    by_name = dict(zip(names, class_ids(names, images, classes), strict=True))
    assert by_name["moon"] == 0 and by_name["gear"] == 1 and by_name["vine"] is None
    with pytest.raises(InputError, match="none of the model's classes"):
        class_ids(names, ImageList("voc:there", "val", ("cat",), (1,), ()), classes)


def test_an_untrained_model_is_not_the_trained_one_retold(run_folder: Path) -> None:
    """The same architecture and classes, weights of the seed."""
    trained = load_trained(run_folder)
    with torch.no_grad():
        next(iter(trained.model.parameters())).add_(1)
    fresh = untrained(trained)
    assert fresh.class_names == trained.class_names and fresh.step == 0
    pairs = zip(fresh.model.parameters(), trained.model.parameters(), strict=True)
    assert [torch.equal(a, b) for a, b in pairs].count(False) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nms": 1.5}, "nms"),
        ({"detections": 0}, "detections"),
        ({"scale": 0}, "positive"),
        ({"max_side": 9}, "max_side"),
    ],
)
def test_settings_without_sense(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InferenceConfig(**values)


def test_a_split_of_a_store_that_holds_more(tmp_path: Path) -> None:
    """VOC's trainval, of which val is evaluated: its images, in the store's order, with their truth."""
    write_scenes(tmp_path / "data", train=3, val=2, side=48)
    spec, url = f"voc:{tmp_path / 'data'}", str(tmp_path / "both.zarr")
    create_or_open(url, load_images(spec, "train+val"))
    dataset = read_evaluation_set(spec, "val", url)
    assert [record.id for record in dataset.images.records] == ["val_000000", "val_000001"]
    assert [truth.id for truth in dataset.truth] == ["val_000000", "val_000001"] and dataset.truth[0].of("box")
    create_or_open(str(tmp_path / "train.zarr"), load_images(spec, "train"))
    with pytest.raises(InputError, match=r"val: 2 of 2 images are not in the store .*val_000000, val_000001"):
        read_evaluation_set(spec, "val", str(tmp_path / "train.zarr"))
