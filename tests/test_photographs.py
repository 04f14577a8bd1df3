"""The whole job on a folder in VOC's layout: every step in its place, none done twice, the quick form's verdict."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import cli as program
from commands import photographs, predict
from data.errors import InputError
from data.scenes import write_scenes
from pdsl.run.folder import read_log
from pdsl.train.step import Stepper
from store.store import open_store
from tests.train.makers import write_vgg16

ROOT = Path(__file__).parents[1]
SMALL = [
    *("steps=3", "checkpoint_every=3", "pictures=1", "schedule.drops=[2]", "data.max_proposals=24"),
    *("model.box_head.hidden=[16,16]", "model.mask.channels=8", "augment.scales=[48]", "inference.scale=48"),
]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `VOC2007/`, of five images to learn from and three others, and `vgg16.pth`."""
    folder = tmp_path_factory.mktemp("photographs")
    write_scenes(folder / "VOC2007", train=5, val=3, side=64, seed=2)
    write_vgg16(folder / "vgg16.pth")
    return folder


def run(given: Path, out: Path, *, quick: bool = False) -> int:
    return photographs.run(
        data=str(given / "VOC2007"),
        weights=str(given / "vgg16.pth"),
        out=str(out),
        quick=quick,
        workers=0,
        overrides=SMALL,
    )


@pytest.fixture(scope="module")
def done(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the whole job filled."""
    out = tmp_path_factory.mktemp("out") / "photographs"
    assert run(given, out) == 0
    return out


def test_everything_lies_where_it_is_said(done: Path) -> None:
    for split, n in (("train", 5), ("val", 3)):
        store = open_store(str(done / f"stores/{split}.zarr"))
        assert len(store.images()) == n
        assert all(store.identity(group) for group in ("proposals", "iou_graph", "grabcut"))
    params = {g: open_store(str(done / "stores/train.zarr")).identity(g).params for g in ("proposals", "grabcut")}
    assert params["proposals"]["max_proposals"] == 500 and params["grabcut"]["seeds"] == "all"
    assert list((done / "features").rglob("*.features"))
    run_folder = done / "run"
    assert read_log(run_folder / "log.jsonl")[-1]["step"] == 3
    metrics = json.loads((run_folder / "metrics.json").read_text())
    assert (metrics["step"], metrics["split"], metrics["images"]) == (3, "val", 3)
    comparison = json.loads((run_folder / "comparison.json").read_text())
    for name in ("trained", "untrained"):
        assert 0 <= comparison[name]["corloc"] <= 100 and "AP50" in comparison[name]["mask"]
    assert "CorLoc is that of the training images" in (run_folder / "report.html").read_text()


def test_predict_finds_what_the_evaluation_found(given: Path, done: Path, tmp_path: Path) -> None:
    """The seeds that masks are blended with are made for the one image as the store has them."""
    found = json.loads((done / "run/predictions.json").read_text())
    image_id = found[0]["image_id"]
    photo = given / f"VOC2007/JPEGImages/{image_id}.jpg"
    assert predict.run(run=str(done / "run"), images=[str(photo)], out=str(tmp_path / "found")) == 0
    alone = json.loads((tmp_path / "found/predictions.json").read_text())
    parts = ("bbox", "score", "segmentation")
    assert [[d[part] for part in parts] for d in alone] == [
        [d[part] for part in parts] for d in found if d["image_id"] == image_id
    ]


def test_again_it_does_only_what_is_missing(
    given: Path, done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Stepper, "run", lambda *_: pytest.fail("trained again"))
    evaluated: list[Any] = []
    original = photographs.report_run
    monkeypatch.setattr(photographs, "report_run", lambda *a, **k: (evaluated.append(a), original(*a, **k))[1])
    assert run(given, done) == 0 and not evaluated
    said = capsys.readouterr()
    assert said.out.count("nothing to do") == 6
    assert "CorLoc" in said.err and str(done / "run/report.html") in said.err.replace("\n", "")
    (done / "run/report.html").unlink()
    assert run(given, done) == 0 and len(evaluated) == 1
    metrics = json.loads((done / "run/metrics.json").read_text())
    (done / "run/metrics.json").write_text(json.dumps(metrics | {"split": "train"}))  # `eval` of something else
    assert run(given, done) == 0 and len(evaluated) == 2


@pytest.mark.parametrize(("asked", "status"), [(-101.0, 0), (101.0, 1)])
def test_the_quick_form_takes_few_images_and_judges(
    given: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: float,
    status: int,
) -> None:
    monkeypatch.setattr(photographs, "QUICK_IMAGES", {"train": 3, "val": 2})
    monkeypatch.setattr(photographs, "WELL_ABOVE", asked)
    assert run(given, tmp_path / "quick", quick=True) == status
    assert f"is {'NOT well' if status else 'well'} above the untrained model's" in capsys.readouterr().err
    assert len(open_store(str(tmp_path / "quick/stores/train.zarr")).images()) == 3
    assert json.loads((tmp_path / "quick/run/metrics.json").read_text())["images"] == 2
    assert run(given, tmp_path / "quick", quick=True) == status


def test_missing_weights_are_said_with_the_cure_before_any_work(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)
    for weights in ([], ["--weights", "nowhere.pth"], ["--weights", "IMAGENET1K_V1"]):
        said = CliRunner().invoke(program.cli, ["photographs", "--data", str(given / "VOC2007"), *weights])
        assert said.exit_code == 2 and "pdsl weights --fetch vgg16" in said.stderr and said.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_without_the_lists_is_said(given: Path, tmp_path: Path) -> None:
    (tmp_path / "JPEGImages").mkdir()
    for quick in (False, True):
        with pytest.raises(InputError, match="no split 'train'"):
            photographs.run(
                data=f"voc:{tmp_path}",
                weights=str(given / "vgg16.pth"),
                out=str(tmp_path / "out"),
                quick=quick,
                workers=0,
                overrides=[],
            )


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["DATA=my photos"], '--data "my photos"'),
        (["DATA=VOC2007", "WEIGHTS=v 16.pth", "QUICK=1"], '--data "VOC2007" --weights "v 16.pth" --quick'),
    ],
)
def test_the_recipe_of_make(words: list[str], options: str) -> None:
    said = subprocess.run(["make", "-n", "photographs", *words], cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert f"cli.py photographs {options}" in said.stdout
