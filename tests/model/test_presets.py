"""The presets are valid, and differ where the paper and the release differ."""

import math
from pathlib import Path

import pytest
import yaml

from data.parameters import replace
from pdsl.config.load import load_config
from pdsl.config.model import ModelConfig
from pdsl.model.build import build_model

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def load(name: str) -> ModelConfig:
    return load_config(CONFIGS / name).model


def test_the_default_is_the_paper() -> None:
    assert load("model/paper.yaml") == ModelConfig()


def test_every_difference_of_the_release() -> None:
    paper, official = load("model/paper.yaml"), load("model/official.yaml")
    assert (paper.normalisation, official.normalisation) == ("per_image", "release")
    assert (paper.box_head.objectness, official.box_head.objectness) == (False, True)
    assert paper.detection.mil_reduction == official.detection.mil_reduction == "mean"
    assert (paper.detection.two_stream_start, official.detection.two_stream_start) == ("normal", "xavier")
    assert (paper.box_head.start, official.box_head.start) == ("kaiming", "normal")
    assert (paper.detection.smooth_l1_beta, official.detection.smooth_l1_beta) == (1, 0)
    assert (paper.mask.weighting, official.mask.weighting) == ("image_score", "none")
    assert (paper.mask.seed_pool, official.mask.seed_pool) == ("all", "foreground")
    assert (paper.mask.labels, official.mask.labels) == ("targets", "predictions")
    assert (paper.correlation.target, official.correlation.target) == ("proposal", "pseudo_box")
    assert (paper.correlation.gradient, official.correlation.gradient) == (True, False)
    assert (paper.correlation.class_agnostic, official.correlation.class_agnostic) == (False, True)
    coco = load("model/official-coco.yaml")
    assert replace(official, {"detection": {"regression": False}}) == coco


def test_as_printed_is_the_paper_without_its_readings() -> None:
    changed = {
        "normalisation": "as_printed",
        "detection": {"mil_reduction": "sum"},
        "mask": {"proposals": "all", "capacity": None, "self_training": "soft"},
    }
    assert load("model/as-printed.yaml") == replace(load("model/paper.yaml"), changed)


def test_plus_is_the_paper_with_what_measured_better() -> None:
    changed = {
        "detection": {"objectness_prior": 1},
        "mask": {"trunk_gradient": "agnostic"},
    }
    assert load("model/plus.yaml") == replace(load("model/paper.yaml"), changed)
    for data in ("voc", "coco"):
        plus, paper = (load_config(CONFIGS / f"{data}-{preset}.yaml") for preset in ("plus", "paper"))
        assert plus.model == replace(paper.model, changed)
        assert (plus.inference.mil_weight, plus.inference.seed_weight) == (0.75, 0.4)
        shares = {"mil_weight": 0.0, "seed_weight": 0.0}
        assert replace(plus, {"model": changed, "inference": shares}) == replace(paper, {"model": changed})
    recipe = load("photographs.yaml")
    assert recipe.mask.trunk_gradient == "agnostic"
    assert recipe.detection.objectness_prior == 1


def test_what_the_shipped_runs_differ_in_beside_the_model() -> None:
    """Each value with its place in paper or release: the table of docs/model.md."""
    voc_paper, voc_official, coco_paper, coco_official = (
        load_config(CONFIGS / f"{name}.yaml") for name in ("voc-paper", "voc-official", "coco-paper", "coco-official")
    )
    for paper, official in ((voc_paper, voc_official), (coco_paper, coco_official)):
        assert (paper.data.min_size, official.data.min_size) == (0, 0)
        assert (paper.data.max_proposals, official.data.max_proposals) == (2000, 4000)
        assert (paper.inference.nms, official.inference.nms) == (0.5, 0.3)
        assert (paper.inference.max_side, official.inference.max_side) == (2000, 4000)
        assert paper.augment.order == official.augment.order == "crop-first"
        assert (paper.augment.crop_sides, official.augment.crop_sides) == ("fixed", "drawn")
        assert (paper.augment.colour, official.augment.colour) == ("hsv", "blend")
        assert paper.augment.scales == official.augment.scales == tuple(range(480, 1217, 32))
        assert paper.optimizer == official.optimizer
    assert (voc_paper.steps, voc_paper.schedule.drops) == (100_000, (70_000,))
    assert (voc_official.steps, voc_official.schedule.drops) == (60_000, (35_000, 50_000))
    assert (coco_paper.steps, coco_paper.schedule.drops) == (240_000, (70_000, 140_000, 210_000))
    assert (coco_official.steps, coco_official.schedule.drops) == (240_000, (140_000, 200_000))


def test_how_layers_without_weights_start() -> None:
    """N(0, .01) and Xavier's range for the two streams; N(0, .005) with bias .1, or Kaiming's range, for the others."""
    for name, two_stream, bound, bias in (
        ("paper", None, math.sqrt(3 / 512), 0.0),
        ("official", math.sqrt(6 / (4096 + 20)), None, 0.1),
    ):
        config = replace(
            load(f"model/{name}.yaml"), {"backbone": {"name": "tiny"}, "box_head": {"hidden": [512, 4096]}}
        )
        model = build_model(config, 20).requires_grad_(False)
        stream, layer = model.two_stream_head.classification.weight, model.box_head.fc2
        if two_stream is None:
            assert float(stream.std()) == pytest.approx(0.01, rel=0.02)
        else:
            assert 0.98 * two_stream < float(stream.abs().max()) <= two_stream
        if bound is None:
            assert float(layer.weight.std()) == pytest.approx(0.005, rel=0.02)
        else:
            assert float(layer.weight.abs().max()) == pytest.approx(bound, rel=0.02)
        assert (layer.bias == bias).all()


@pytest.mark.parametrize("path", sorted((CONFIGS / "model").glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_hold_nothing_but_the_model(path: Path) -> None:
    beside = {"inference"} if path.stem == "plus" else set()  # which heads tell of a box and of a mask
    assert set(yaml.safe_load(path.read_text())) <= {"model", "base"} | beside


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
