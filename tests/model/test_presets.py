"""The presets are valid, and differ where the paper and the release differ."""

from pathlib import Path

import pytest
import yaml

from data.parameters import replace
from pdsl.config.load import load_config
from pdsl.config.model import ModelConfig

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def load(name: str) -> ModelConfig:
    return load_config(CONFIGS / name).model


def test_the_default_is_the_paper() -> None:
    assert load("model/paper.yaml") == ModelConfig()


def test_every_difference_of_the_release() -> None:
    paper, official = load("model/paper.yaml"), load("model/official.yaml")
    assert (paper.normalisation, official.normalisation) == ("per_image", "release")
    assert (paper.box_head.objectness, official.box_head.objectness) == (False, True)
    assert (paper.detection.mil_reduction, official.detection.mil_reduction) == ("sum", "mean")
    assert (paper.detection.smooth_l1_beta, official.detection.smooth_l1_beta) == (1, 0)
    assert (paper.mask.weighting, official.mask.weighting) == ("image_score", "none")
    assert (paper.mask.seed_pool, official.mask.seed_pool) == ("all", "foreground")
    assert (paper.mask.labels, official.mask.labels) == ("targets", "predictions")
    assert (paper.correlation.target, official.correlation.target) == ("proposal", "pseudo_box")
    assert (paper.correlation.gradient, official.correlation.gradient) == (True, False)
    assert (paper.correlation.class_agnostic, official.correlation.class_agnostic) == (False, True)
    coco = load("model/official-coco.yaml")
    assert replace(official, {"detection": {"regression": False}}) == coco


@pytest.mark.parametrize("path", sorted((CONFIGS / "model").glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_hold_nothing_but_the_model(path: Path) -> None:
    assert set(yaml.safe_load(path.read_text())) <= {"model", "base"}


@pytest.mark.parametrize(
    ("backbone", "hidden"),
    [
        ("resnet18-ws", (4096, 4096)),
        ("resnet50-ws", (2048, 4096)),
        ("resnet101-ws", (2048, 4096)),
        ("vgg16", (4096, 4096)),
    ],
)
def test_backbones(backbone: str, hidden: tuple[int, int]) -> None:
    config = load(f"backbone/{backbone}.yaml")
    assert config.backbone.name == backbone.replace("-", "_") and config.box_head.hidden == hidden
