"""A network that needs ImageNet weights is not trained without a word; what a run began with is in its report."""

from pathlib import Path

import pytest

from commands import train
from commands.weights import run as list_weights
from data.errors import InputError
from pdsl.config.model import BackboneName
from pdsl.model.weight_sources import without_weights
from pdsl.report.provenance import _beginning
from pdsl.run.folder import read_run_config
from tests.train.makers import CONFIG

OPTIONS = {"resume": False, "init": None, "data": None}


def write(path: Path, backbone: str) -> str:
    path.write_text(CONFIG.replace("backbone: {name: tiny, weights: scratch}", f"backbone: {backbone}"))
    return str(path)


@pytest.mark.parametrize("backbone", ["{name: vgg16}", "{name: vgg16, freeze: all}"])
def test_training_without_weights_is_refused(store: str, tmp_path: Path, backbone: str) -> None:
    """Also where all of it is to be frozen, as in `photographs`."""
    config = write(tmp_path / "c.yaml", backbone)
    with pytest.raises(
        InputError, match=r"model\.backbone\.weights: none given for 'vgg16'.*vgg16-397923af\.pth \(528 MB"
    ):
        train.run(config=config, stores=[store], out=str(tmp_path / "run"), overrides=[], **OPTIONS)
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.parametrize("name", ["resnet18_ws", "resnet50_ws", "resnet101_ws", "vgg16"])
def test_without_weights_the_message_names_file_place_and_option(name: BackboneName) -> None:
    message = without_weights(name)
    expected = {"resnet18_ws": "resnet18-f37072fd.pth (45 MB", "vgg16": "vgg16-397923af.pth (528 MB"}.get(name, name)
    assert expected in message and "training:" in message and "model.backbone.weights=scratch" in message
    assert (f"{name}_model_120.pkl" in message) == (name != "vgg16")


def test_from_scratch_on_purpose_trains(store: str, tmp_path: Path) -> None:
    config, out = write(tmp_path / "c.yaml", "{name: vgg16}"), tmp_path / "run"
    settings = [("model.backbone.weights", "scratch"), ("steps", 2)]
    words = ["steps=1", "optimizer.images_per_step=1"]
    assert train.run(config=config, stores=[store], out=str(out), overrides=words, settings=settings, **OPTIONS) == 0
    settled = read_run_config(out)
    assert settled.steps == 1  # the command line goes over the workspace
    assert (settled.model.backbone.weights, settled.model.backbone.freeze) == ("scratch", "none")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, ""),
        (
            {"model": {"backbone": {"name": "vgg16", "weights": "v.pth", "freeze": "stem"}}},
            "with v.pth; frozen: stem",
        ),
        (
            {"model": {"backbone": {"name": "tiny", "weights": "scratch", "freeze": "none"}}},
            "training began with tiny with random weights",
        ),
        (
            {"init": "runs/a", "model": {"backbone": {"name": "tiny", "weights": None, "freeze": "none"}}},
            "training began with the model of runs/a",
        ),
    ],
)
def test_the_report_says_what_it_began_with(config: dict[str, object], sentence: str) -> None:
    assert sentence in _beginning(config)
    assert bool(_beginning(config)) == bool(config)


def test_the_list_of_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_weights(fetch=None) == 0
    shown = capsys.readouterr().out
    for text in ("resnet50_ws_model_120.pkl", "vgg16-397923af.pth; 528 MB", "weights=IMAGENET1K_V1", "weights=scratch"):
        assert text in shown
