"""The whole job at the smallest size, through the command line: scenes, stages, training, resume, figures, report."""

import json
import re
from pathlib import Path

import pytest
import torch
import zarr
from click.testing import CliRunner

import cli as program
from data.scenes import write_scenes

SMALL = ["proposals.max_proposals=24", "store.shard=4", "grabcut.seeds=all"]
TRAINING = ["steps=4", "checkpoint_every=2", "log_every=1", "data.max_proposals=24", "optimizer.images_per_step=2"]


def call(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(program.cli, ["--debug", *arguments], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six scenes to learn from and three to be tested on, its stages computed."""
    folder = tmp_path_factory.mktemp("workspace")
    write_scenes(folder / "scenes", train=6, val=3, side=96, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        call("init", "--data", "voc:scenes")
        text = (folder / "pdsl.yaml").read_text()
        text, replaced = re.subn(r"(?m)^config: \S+$", "config: demo", text)
        assert replaced == 1, "whatever `init` names would train a full-sized network here"
        (folder / "pdsl.yaml").write_text(text)
        settings = [part for setting in SMALL for part in ("--set", setting)]
        call("precompute", "--stage", "grabcut", "--workers", "0", *settings)
    return folder


@pytest.fixture(scope="module")
def trained(workspace: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        call("train", *TRAINING)
    return workspace


@pytest.fixture(autouse=True)
def inside(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)


def test_the_store_holds_what_the_design_says(workspace: Path) -> None:
    group = zarr.open_group(str(workspace / "stores" / "train.zarr"), mode="r")
    expected = {
        "images/id": ((6,), None),
        "images/size": ((6, 2), "int32"),
        "images/label": ((6, 6), "bool"),
        "proposals/box": ((6, 24, 4), "float32"),
        "proposals/score": ((6, 24), "float32"),
        "proposals/count": ((6,), "int32"),
        "proposals/status": ((6,), "uint8"),
        "iou_graph/degree": ((6, 24), "uint16"),
        "grabcut/count": ((6,), "int32"),
        "grabcut/status": ((6,), "uint8"),
    }
    for name, (shape, dtype) in expected.items():
        array = group[name]
        assert array.shape == shape, name
        assert dtype is None or array.dtype == dtype, name
    assert group["iou_graph/neighbor"].dtype == "uint16"
    assert group["iou_graph/iou"].dtype == "float16"
    assert group["grabcut/mask"].shape[2:] == (56, 7)
    assert (group["grabcut/status"][:] == 1).all()


def test_the_evaluation_split_gets_proposals_only(workspace: Path) -> None:
    group = zarr.open_group(str(workspace / "stores" / "val.zarr"), mode="r")
    assert (group["proposals/status"][:] == 1).all()
    assert "grabcut" not in group


def test_running_again_computes_nothing(workspace: Path) -> None:
    output = call("precompute", "--stage", "iou-graph", "--split", "train", "--workers", "0")
    assert "nothing to do" in output
    rows = json.loads(call("status", "--store", "stores/train.zarr", "--json"))
    assert rows


def test_a_run_folder_is_complete(trained: Path) -> None:
    run = trained / "runs" / "default"
    for name in ("config.yaml", "log.jsonl", "checkpoints/step-000002.pt", "checkpoints/last.pt"):
        assert (run / name).exists(), name
    checkpoint = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    assert {"model", "optimizer", "step"} <= set(checkpoint)
    assert checkpoint["step"] == 4
    losses = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert len(losses) == 4


def test_eval_writes_figures_predictions_and_report(trained: Path) -> None:
    call("eval")
    run = trained / "runs" / "default"
    metrics = json.loads((run / "metrics.json").read_text())
    for kind in ("mask", "box"):
        assert {"AP", "AP25", "AP50", "AP70", "AP75"} <= set(metrics[kind])
    assert "<html" in (run / "report.html").read_text().lower()
    again = call("eval", "--results", str(run / "predictions.json"))
    assert "mask" in again


def test_predict_export_inspect_verify(trained: Path) -> None:
    image = next((trained / "scenes" / "JPEGImages").iterdir())
    call("predict", str(image), "--out", "seen")
    assert any(path.suffix == ".png" for path in (trained / "seen").iterdir())
    call("export", "--out", "labels.json")
    labels = json.loads((trained / "labels.json").read_text())
    assert {"images", "annotations", "categories"} <= set(labels)
    identity = zarr.open_group("stores/train.zarr", mode="r")["images/id"][0]
    call("inspect", "--image", str(identity), "--out", "look.png")
    assert (trained / "look.png").stat().st_size > 10_000
    call("verify")


def test_results_of_test_images_to_hand_in(trained: Path) -> None:
    """A list of images that nobody annotated: stages, detections, no figures."""
    scenes = trained / "scenes"
    image = next((scenes / "JPEGImages").iterdir())
    (scenes / "JPEGImages" / "unseen 1.png").write_bytes(image.read_bytes())
    (scenes / "ImageSets" / "Main" / "test.txt").write_text("unseen 1\n")
    settings = [part for setting in SMALL[:1] for part in ("--set", setting)]
    options = ("--split", "test", "--store", "stores/test.zarr")
    call("precompute", "--stage", "proposals", "--workers", "0", *options, *settings)
    call("predict", *options, "--out", "handed-in")
    rows = json.loads((trained / "handed-in" / "predictions.json").read_text())
    assert rows and {row["image_id"] for row in rows} == {"unseen 1"}
    for arguments, message in ((["eval"], "nothing to compare with"), (["predict", str(image)], "one of the two")):
        refused = CliRunner().invoke(program.cli, [*arguments, *options])
        assert refused.exit_code == 2 and message in refused.output


def test_a_run_is_not_overwritten_and_resume_has_nothing_left(trained: Path) -> None:
    result = CliRunner().invoke(program.cli, ["train", *TRAINING])
    assert result.exit_code == 2
    assert "--resume" in result.output
    call("train", "--resume")


def test_figures_while_training_are_those_of_the_workspace_s_evaluation_split(workspace: Path) -> None:
    call("train", "--out", "runs/watched", *TRAINING, "validation.every=4")
    last = json.loads((workspace / "runs/watched/log.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 4 and last["validation"]["images"] == 3
    assert set(last["validation"]["mask"]) >= {"AP", "AP50", "AP75"}
