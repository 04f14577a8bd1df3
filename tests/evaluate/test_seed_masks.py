"""Masks blended with seeds: hand-made cases, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from data.catalog import load_images
from data.errors import InputError
from data.masks import pack
from data.scenes import write_scenes
from pdsl.evaluate.seed_masks import ImageSeeds, blend, require_seeds, seeds_of
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.contents import Proposals, Seeds, read_proposals
from store.create import create_or_open
from tests.train.makers import stages

BOX = np.array([[0, 0, 20, 20], [40, 40, 60, 80], [0, 0, 100, 100]], np.float32)


def image_seeds() -> ImageSeeds:
    """Seeds of proposals 2 and 0: the left half, and the whole box."""
    mask = np.zeros((2, 56, 56), bool)
    mask[0, :, :28] = True
    mask[1] = True
    seeds = Seeds(np.array([1, 0], np.uint16), pack(mask))
    return ImageSeeds.of(Proposals(BOX, np.ones(3, np.float32)), seeds, torch.device("cpu"))


def test_the_nearest_seed_has_its_share() -> None:
    mask = torch.full((2, 28, 28), 0.5)
    found = blend(mask, torch.tensor([[40.0, 40, 60, 80], [0, 0, 20, 18]]), image_seeds(), 0.4)
    assert torch.allclose(found[0, :, :14], torch.tensor(0.6 * 0.5 + 0.4))
    assert torch.allclose(found[0, :, 14:], torch.tensor(0.6 * 0.5))
    assert torch.allclose(found[1], torch.tensor(0.7))


def test_a_seed_stays_where_it_is_in_the_image() -> None:
    """A box that begins 5 pixels right of its seed sees a left half of 5 of its 20 pixels."""
    found = blend(torch.zeros(1, 28, 28), torch.tensor([[45.0, 40, 65, 80]]), image_seeds(), 1.0)
    assert found[0, :, :7].min() == 1 and found[0, :, 7:].max() == 0


def test_the_heads_decide_alone() -> None:
    """Where no seed is near, where there is none at all, and of no box."""
    mask, far = torch.rand(1, 28, 28), torch.tensor([[40.0, 40, 60, 59]])  # IoU 0.475
    assert torch.equal(blend(mask, far, image_seeds(), 0.4), mask)
    none = ImageSeeds(torch.zeros(0, 4), torch.zeros(0, 56, 56, dtype=torch.bool))
    assert torch.equal(blend(mask, far, none, 0.4), mask)
    assert blend(mask[:0], far[:0], image_seeds(), 0.4).shape == (0, 28, 28)
    assert torch.equal(blend(mask, torch.tensor([[40.0, 40, 60, 80]]), image_seeds(), 0.0), mask)


def test_a_store_without_seeds_is_refused(tmp_path: Path) -> None:
    write_scenes(tmp_path / "data", train=1, val=1, side=64, seed=0)
    images = load_images(f"voc:{tmp_path / 'data'}", "train")
    store = create_or_open(str(tmp_path / "s.zarr"), images)
    run_stage(store, images, stages()[0], SerialExecutor())
    require_seeds(store, 0.0)
    with pytest.raises(InputError, match=r"grabcut: .* not computed.*inference.seed_weight=0"):
        require_seeds(store, 0.4)
    assert seeds_of(store, 0, read_proposals(store, 0), torch.device("cpu")) is None
    for stage in stages()[1:]:
        run_stage(store, images, stage, SerialExecutor())
    require_seeds(store, 0.4)
    found = seeds_of(store, 0, read_proposals(store, 0), torch.device("cpu"))
    assert found is not None and len(found.box) == len(found.mask) > 0
