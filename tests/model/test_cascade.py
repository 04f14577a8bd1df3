"""Pseudo masks from gradients: where the heat is, how many classes, and that parameters stay untouched."""

import torch

from pdsl.config.model import CascadeConfig
from pdsl.model.build import build_model
from pdsl.model.cascade import box_frame_masks, gradient_seeds
from pdsl.model.pseudo_labels import PseudoBoxes
from tests.model.scenes import N_CLASSES, random_sample, small_config


def test_the_mask_is_where_the_heat_is() -> None:
    heat = torch.zeros(2, 64, 64)
    heat[0, 16:32, 16:32] = 1  # the upper left quarter of the box
    box = torch.tensor([[16.0, 16, 48, 48], [16, 16, 48, 48]])
    mask = box_frame_masks(heat, box, CascadeConfig(sigma=0.5, threshold=0.5))
    expected = torch.zeros(56, 56, dtype=torch.bool)
    expected[:28, :28] = True
    assert mask.shape == (2, 56, 56)
    assert (mask[0] == expected).float().mean() > 0.97
    assert not mask[1].any()  # no heat, no mask


def test_smoothing_fits_into_small_images() -> None:
    mask = box_frame_masks(torch.rand(1, 9, 7), torch.tensor([[0.0, 0, 7, 9]]), CascadeConfig(sigma=20))
    assert mask.any()


def test_only_the_best_present_classes_get_a_mask() -> None:
    model, sample = build_model(small_config(), N_CLASSES), random_sample()
    pseudo = PseudoBoxes(
        index=torch.arange(4),
        box=sample.proposals.box[:4],
        score=torch.tensor([0.1, 0.9, 0.3, 0.2]),
        present=torch.tensor([True, False, True, True]),
    )
    with torch.no_grad():
        box, mask, counts = gradient_seeds(model.scores_of, sample, pseudo, CascadeConfig(classes=2))
        assert torch.equal(box, pseudo.box[[2, 3]])
        assert counts.tolist() == [True, True]
        assert mask.flatten(1).any(1).all()
        counts = gradient_seeds(model.scores_of, sample, pseudo, CascadeConfig(classes=4))[2]
    assert counts.tolist() == [True, True, True, False]
    assert all(parameter.grad is None for parameter in model.parameters())
