"""Small models and random samples for the tests of this folder."""

import torch

from data.masks import MASK_SIDE
from pdsl.config.model import (
    BackboneConfig,
    BoxHeadConfig,
    DetectionConfig,
    MaskConfig,
    ModelConfig,
)
from pdsl.structures import Proposals, Sample, Seeds

N_CLASSES = 4


def small_config(n_r: int = 2, n_m: int = 2) -> ModelConfig:
    """A model of some thousand weights."""
    return ModelConfig(
        backbone=BackboneConfig(name="tiny"),
        box_head=BoxHeadConfig(hidden=(24, 16)),
        detection=DetectionConfig(n_r=n_r),
        mask=MaskConfig(n_m=n_m, convs=1, channels=8, capacity=12),
    )


def random_sample(
    seed: int = 0, n_proposals: int = 30, n_seeds: int = 12, size: tuple[int, int] = (64, 80), present: int = 2
) -> Sample:
    """Overlapping boxes, some of which leave the image; the last tenth is padding."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    corner = torch.rand(n_proposals, 2, generator=generator) * torch.tensor([width * 0.6, height * 0.6]) - 5
    side = torch.rand(n_proposals, 2, generator=generator) * torch.tensor([width * 0.5, height * 0.5]) + 8
    valid = torch.arange(n_proposals) < n_proposals - n_proposals // 10
    box = torch.cat([corner, corner + side], 1) * valid[:, None]
    label = torch.zeros(N_CLASSES, dtype=torch.bool)
    label[:present] = True
    index = torch.randperm(int(valid.sum()), generator=generator)[:n_seeds]
    return Sample(
        image=torch.rand(3, height, width, generator=generator) * 255,
        label=label,
        proposals=Proposals(box, torch.rand(n_proposals, generator=generator), valid),
        seeds=Seeds(
            index,
            torch.rand(len(index), MASK_SIDE, MASK_SIDE, generator=generator) < 0.5,
            torch.ones(len(index), dtype=torch.bool),
        ),
        row=seed,
        image_id=str(seed),
    )


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]
