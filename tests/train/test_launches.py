"""What a full-size step would start on a GPU, counted on fake tensors: the host must not be what it waits for."""

import math
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.trainer.simulation import Launches, simulated_step
from pdsl.augment import Transform
from pdsl.config.load import load_config
from pdsl.model.footprint import PeakMemory

CONFIG = Path(__file__).parents[2] / "configs/voc-paper.yaml"
AUGMENTED = Transform((600, 800), True, (0, 0, 800, 600), 1.2, 1.3, window=(5, 21, 455, 359), hsv=True)
"""Every part of the augmentation takes part."""
MOST = 400
"""Operators below autograd for each image, of ResNet18-WS with the trunk frozen, 2,000 proposals, bf16. It were 1,584
when every head and every loss went by itself."""
MOST_TFLOP = 1.7
"""Of matrix products and convolutions for each image; 2.94 with a mask branch for 512 proposals."""

LARGEST = Transform((1216, 1824), True, (0, 0, 1824, 1216), 1.2, 1.3, window=(5, 21, 455, 321), hsv=True)
"""The largest of the paper's scales."""
MOST_MEMORY = 6e9
"""Bytes, of ResNet18-WS with its trunk trained; 11e9 would fit the paper's devices."""


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


def test_memory_of_the_largest_step() -> None:
    """Trunk trained and 1,216 pixels: what tensors hold at most, with weights, gradients and momentum. An allocator's
    leavings and workspaces of libraries come on top."""
    overrides = ["precision=bfloat16", "model.backbone.weights=FILE", "model.backbone.freeze=none"]
    config, peak = load_config(CONFIG, overrides), PeakMemory(math.inf)
    assert config.augment.max_side >= max(LARGEST.size)
    images = config.optimizer.images_per_step
    simulated = simulated_step(config, 20, images=images, size=(375, 500), transform=LARGEST, watch=peak)
    with simulated as (stepper, samples):
        weights = sum(p.numel() for p in stepper.weights.trained)
        stepper.run(0, samples)
    assert 3 * 4 * weights < peak.peak < MOST_MEMORY


def test_what_counts_as_a_launch() -> None:
    x = torch.ones(4, 4)
    with Launches() as launches:
        (x.T.reshape(2, 8)[0] + 1).sum()
        torch.empty(3).view(-1)
    assert launches.by_name == {"clone": 1, "add": 1, "sum": 1}
