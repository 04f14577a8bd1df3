"""What a full-size step would start on a GPU, counted on fake tensors: the host must not be what it waits for."""

from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.trainer.simulation import Launches, simulated_step
from pdsl.augment import Transform
from pdsl.config.load import load_config

CONFIG = Path(__file__).parents[2] / "configs/voc-paper.yaml"
AUGMENTED = Transform((600, 800), True, (0, 0, 800, 600), 1.2, 1.3, window=(5, 21, 455, 359), hsv=True)
"""Every part of the augmentation takes part."""
MOST = 400
"""Operators below autograd for each image, of ResNet18-WS with the trunk frozen, 2,000 proposals, bf16. It were 1,584
when every head and every loss went by itself."""
MOST_TFLOP = 1.7
"""Of matrix products and convolutions for each image; 2.94 with a mask branch for 512 proposals."""


def test_launches_and_arithmetic_of_a_step() -> None:
    config = load_config(CONFIG, ["precision=bfloat16", "model.backbone.weights=FILE", "model.backbone.freeze=all"])
    images_per_step = config.optimizer.images_per_step
    simulated = simulated_step(config, 20, images=images_per_step, size=(375, 500), transform=AUGMENTED)
    with simulated as (stepper, images):
        stepper.run(0, images)  # folds the frozen norms
        with FlopCounterMode(display=False) as arithmetic, Launches() as launches:
            stepper.run(1, images)
    assert 300 < launches.total / images_per_step <= MOST, launches.by_name.most_common(20)
    assert 1.5 < arithmetic.get_total_flops() / images_per_step / 1e12 <= MOST_TFLOP


def test_what_counts_as_a_launch() -> None:
    x = torch.ones(4, 4)
    with Launches() as launches:
        (x.T.reshape(2, 8)[0] + 1).sum()
        torch.empty(3).view(-1)
    assert launches.by_name == {"clone": 1, "add": 1, "sum": 1}
