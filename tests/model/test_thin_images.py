"""Images so thin that a scaled copy is a few pixels high: trained on and looked at as any other."""

import pytest
import torch

from data.parameters import replace
from pdsl.augment import apply, draw
from pdsl.config.inference import InferenceConfig
from pdsl.config.tree import AugmentConfig
from pdsl.evaluate.infer import detect_image
from pdsl.evaluate.tta import views
from pdsl.model.build import build_model
from tests.model.scenes import N_CLASSES, generators, random_sample, small_config

SIZES = [(1, 1), (1, 300), (300, 1), (12, 2000), (2000, 12), (2, 3)]


@pytest.mark.parametrize("source", ["seeds", "cascade"])
@pytest.mark.parametrize("size", SIZES)
def test_losses_and_gradients_are_finite(size: tuple[int, int], source: str) -> None:
    model = build_model(replace(small_config(), {"mask": {"source": source}}), N_CLASSES).train()
    transform = draw(AugmentConfig(scales=(48,), max_side=200), size, torch.Generator().manual_seed(0))
    sample = apply(transform, random_sample(size=size))
    assert min(sample.image.shape[1:]) <= 48
    total = model.losses([sample], generators(0))[0].total()
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_detections_lie_in_the_image(size: tuple[int, int], tta: bool) -> None:
    config = InferenceConfig(scale=48, max_side=200, tta_scales=(32, 48))
    sample = random_sample(size=size)
    model = build_model(small_config(), N_CLASSES)
    found = detect_image(model, sample.image.to(torch.uint8), sample.proposals, config, views(config, tta))
    height, width = size
    assert len(found.box) and torch.isfinite(found.mask).all()
    assert (found.box >= 0).all() and (found.box <= torch.tensor([width, height, width, height])).all()
