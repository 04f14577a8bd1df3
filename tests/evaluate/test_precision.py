"""Weights under bf16: cast once for a look at a whole list of images, with the bits of casting them for every view."""

from inspect import unwrap
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from data.catalog import load_images
from pdsl.config.inference import InferenceConfig
from pdsl.config.model import BackboneConfig, BackboneName, BoxHeadConfig, DetectionConfig, MaskConfig, ModelConfig
from pdsl.config.tree import Config
from pdsl.evaluate import infer
from pdsl.evaluate.infer import detect_image, detect_images
from pdsl.evaluate.tta import views
from pdsl.model.build import build_model
from pdsl.model.pdsl import PDSL
from pdsl.model.precision import cast_once
from pdsl.structures import Proposals
from store.store import open_store

INFERENCE = InferenceConfig(scale=48, max_side=96, tta_scales=(40, 56), nms=0.5)
LOOKS = views(INFERENCE, True)
PROPOSALS = Proposals(
    torch.tensor([[2.0, 3, 30, 40], [10, 5, 44, 38], [0, 0, 50, 40]]), torch.rand(3), torch.ones(3, dtype=torch.bool)
)


def model_of(backbone: BackboneName, freeze: Literal["none", "all"], classes: int = 2) -> PDSL:
    return build_model(config_of(backbone, freeze), classes).eval()


def config_of(backbone: BackboneName, freeze: Literal["none", "all"]) -> ModelConfig:
    return ModelConfig(
        backbone=BackboneConfig(name=backbone, freeze=freeze),
        box_head=BoxHeadConfig(hidden=(16, 16)),
        detection=DetectionConfig(n_r=1),
        mask=MaskConfig(n_m=1, convs=1, channels=8, sampling=1),
    )


class WeightCasts(TorchDispatchMode):
    """Counts how often a weight or bias of the model becomes bf16."""

    def __init__(self, model: PDSL) -> None:
        super().__init__()
        self.weights = {p.data_ptr() for p in model.parameters()}
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and found.dtype == torch.bfloat16:
            self.count += args[0].data_ptr() in self.weights
        return found


def casts_of_a_look(model: PDSL, image: torch.Tensor) -> int:
    look = torch.no_grad()(unwrap(detect_image))  # inference mode hides operators
    with WeightCasts(model) as casts:
        look(model, image, PROPOSALS, INFERENCE, LOOKS, bf16=True)
    return casts.count


@pytest.mark.parametrize(("backbone", "freeze"), [("tiny", "none"), ("resnet18_ws", "all"), ("resnet18_ws", "none")])
def test_weights_are_cast_once_for_all_views(backbone: BackboneName, freeze: Literal["none", "all"]) -> None:
    """Same bits, and nothing of the model itself changes."""
    image = torch.randint(0, 256, (3, 40, 50), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    model = model_of(backbone, freeze)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ready = cast_once(model)
    asked, told = (detect_image(m, image, PROPOSALS, INFERENCE, LOOKS, bf16=True) for m in (model, ready))
    assert len(asked.box) and all(
        torch.equal(getattr(asked, part), getattr(told, part)) for part in ("box", "score", "label", "mask")
    )
    assert casts_of_a_look(ready, image) == 0
    assert casts_of_a_look(model, image) >= 2 * len(LOOKS)  # of each layer of the box head at least
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value.dtype == before[name].dtype for name, value in model.state_dict().items())


def test_the_copy_shares_what_is_not_cast(tmp_path: Path) -> None:
    model = model_of("resnet18_ws", "all")
    model.backbone.keep_features(tmp_path, 10**6)
    ready = cast_once(model)
    assert ready.backbone.cache is model.backbone.cache
    own = {name: value.data_ptr() for name, value in model.state_dict().items()}
    shared = {name for name, value in ready.state_dict().items() if value.data_ptr() == own[name]}
    assert shared == {name for name in own if name.startswith("backbone.")}  # of a frozen one


@pytest.mark.parametrize(("precision", "times"), [("bfloat16", 1), ("float32", 0)])
def test_a_list_is_looked_at_with_weights_cast_once(
    scenes: Path, monkeypatch: pytest.MonkeyPatch, precision: Any, times: int
) -> None:
    cast: list[PDSL] = []
    monkeypatch.setattr(infer, "cast_once", lambda model: cast.append(cast_once(model)) or cast[-1])
    store, images = open_store(str(scenes / "train.zarr")), load_images(f"voc:{scenes / 'data'}", "train")
    model = model_of("tiny", "none", len(images.class_names))
    config = Config(model=config_of("tiny", "none"), inference=INFERENCE, precision=precision)
    found = list(detect_images(model, config, images, store, range(len(images.class_names)), tta=True))
    assert len(found) == len(images) and len(cast) == times
