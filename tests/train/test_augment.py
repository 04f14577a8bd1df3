"""Augmentation: image, boxes and box-frame masks move together; nothing is clipped; draws depend on their keys only."""

import colorsys
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.masks import paste
from pdsl.augment import Transform, apply, draw, resized, transform_image, transform_proposals
from pdsl.config.tree import AugmentConfig
from pdsl.structures import Proposals, Sample, Seeds
from pdsl.train.randomness import Purpose, generator_for

Order = Literal["crop-first", "resize-first"]


def proposals(*boxes: list[float]) -> Proposals:
    n = len(boxes)
    return Proposals(torch.tensor(boxes), torch.ones(n), torch.ones(n, dtype=torch.bool))


def test_boxes_are_scaled_mirrored_and_shifted_but_not_clipped() -> None:
    # image 20 x 10 (height x width) -> 40 x 30 (x2, x3), mirrored, crop at (5, 10)
    transform = Transform(size=(40, 30), flip=True, crop=(5, 10, 25, 40))
    moved = transform_proposals(transform, proposals([1.0, 2.0, 4.0, 12.0], [0.0, 0.0, 10.0, 20.0]), (20, 10))
    assert moved.box.tolist() == [[30 - 12 - 5, 4 - 10, 30 - 3 - 5, 24 - 10], [-5, -10, 25, 30]]
    assert moved.valid.tolist() == [True, True]


@pytest.mark.parametrize(
    ("box", "valid"),
    [
        ([0.0, 0.0, 5.0, 5.0], False),  # touches the crop's corner only: half-open, no common pixel
        ([0.0, 0.0, 5.5, 5.5], True),
        ([15.0, 6.0, 18.0, 9.0], False),
        ([6.0, 15.0, 9.0, 18.0], False),
        ([-50.0, -50.0, 50.0, 50.0], True),
        ([7.0, 7.0, 7.0, 7.0], True),  # no area, but inside
    ],
)
def test_proposals_outside_the_crop_become_invalid(box: list[float], valid: bool) -> None:
    transform = Transform(size=(20, 20), flip=False, crop=(5, 5, 15, 15))
    assert transform_proposals(transform, proposals(box), (20, 20)).valid.item() is valid


def test_padding_stays_invalid() -> None:
    transform = Transform(size=(20, 20), flip=False, crop=(0, 0, 20, 20))
    padded = Proposals(torch.tensor([[1.0, 1.0, 5.0, 5.0]]), torch.zeros(1), torch.zeros(1, dtype=torch.bool))
    assert not transform_proposals(transform, padded, (20, 20)).valid.any()


def test_image_is_mirrored_then_cropped_and_values_stay_in_range() -> None:
    image = torch.arange(12, dtype=torch.uint8).reshape(1, 3, 4).expand(3, 3, 4)
    out = transform_image(Transform(size=(3, 4), flip=True, crop=(1, 0, 3, 2)), image)
    assert out.dtype == torch.float32
    assert out[0].tolist() == [[2, 1], [6, 5]]
    bright = transform_image(Transform((3, 4), False, (0, 0, 4, 3), exposure=1.5, saturation=1.5), image + 200)
    assert bright.max() <= 255
    grey = transform_image(Transform((3, 4), False, (0, 0, 4, 3), saturation=0.0), torch.rand(3, 3, 4) * 255)
    torch.testing.assert_close(grey[0], grey[1])


@pytest.mark.parametrize("order", ["crop-first", "resize-first"])
@given(st.integers(8, 60), st.integers(8, 60), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_box_keeps_its_content(order: Order, height: int, width: int, seed: int) -> None:
    """The mean colour of a painted box is found again in the transformed box (resize within the crop, any flip)."""
    generator = torch.Generator().manual_seed(seed)
    config = AugmentConfig(scales=(64, 96), max_side=400, crop=0.7, exposure=1, saturation=1, order=order)
    transform = draw(config, (height, width), generator)
    x0, y0 = int(0.25 * width), int(0.25 * height)
    x1, y1 = max(x0 + 2, int(0.75 * width)), max(y0 + 2, int(0.75 * height))
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    image[:, y0:y1, x0:x1] = 250
    out = transform_image(transform, image)
    box = transform_proposals(transform, proposals([float(x0), float(y0), float(x1), float(y1)]), (height, width)).box[
        0
    ]
    expected = 250 * ((box[2] - box[0]) * (box[3] - box[1]))
    blur_x, blur_y = (box[2] - box[0]) / (x1 - x0) / 2, (box[3] - box[1]) / (y1 - y0) / 2  # half a pixel of the image
    light = box + torch.stack([-blur_x, -blur_y, blur_x, blur_y])
    if (
        min(light[:2]) >= 0 and light[2] <= out.shape[2] and light[3] <= out.shape[1]
    ):  # inside the crop: all of it is there
        assert abs(out[0].sum() - expected) < 0.03 * expected + 500


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_mirrored_seed_mask_is_that_of_the_mirrored_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = np.kron(rng.random((7, 7)) < 0.5, np.ones((8, 8), bool))
    x0, y0 = rng.integers(0, 20, 2)
    box = [float(x0), float(y0), float(x0 + rng.integers(5, 40)), float(y0 + rng.integers(5, 40))]
    sample = Sample(
        torch.zeros(3, 64, 64, dtype=torch.uint8),
        torch.ones(1, dtype=torch.bool),
        proposals(box),
        Seeds(torch.zeros(1, dtype=torch.int64), torch.from_numpy(frame)[None], torch.ones(1, dtype=torch.bool)),
        0,
        "a",
    )
    moved = apply(Transform(size=(64, 64), flip=True, crop=(0, 0, 64, 64)), sample)
    mirrored = paste(moved.seeds.mask[0].numpy(), moved.proposals.box[0].numpy(), (64, 64))
    expected = paste(frame, np.array(box, np.float32), (64, 64))[:, ::-1]
    assert (mirrored != expected).mean() < 0.005
    assert torch.equal(moved.label, sample.label)


def test_draws_depend_on_seed_step_and_image_only() -> None:
    config = AugmentConfig()

    def one(seed: int, step: int, image: int) -> Transform:
        return draw(config, (375, 500), generator_for(Purpose.AUGMENT, seed, step, image))

    torch.manual_seed(5)
    first = one(0, 3, 7)
    torch.rand(100)
    assert one(0, 3, 7) == first
    assert len({one(0, 3, 7), one(1, 3, 7), one(0, 4, 7), one(0, 3, 8)}) == 4


def test_draws_cover_the_declared_ranges() -> None:
    config = AugmentConfig(scales=(100, 200), max_side=300)
    drawn = [draw(config, (150, 100), generator_for(Purpose.AUGMENT, 0, s, 0)) for s in range(300)]
    assert {t.size for t in drawn} == {(150, 100), (300, 200)}
    assert 0.4 < np.mean([t.flip for t in drawn]) < 0.6
    assert min(t.exposure for t in drawn) < 0.75 < 1.4 < max(t.exposure for t in drawn) <= 1.5
    for t in drawn:
        x0, y0, x1, y1 = t.crop
        assert 0 <= x0 < x1 <= t.size[1] and 0 <= y0 < y1 <= t.size[0]
        assert (x1 - x0) >= 0.9 * t.size[1] - 1 and (y1 - y0) >= 0.9 * t.size[0] - 1


def test_a_crop_of_the_original_is_what_is_resized() -> None:
    """Every view has its shorter side on a scale; boxes go along: a window (10, 5)-(30, 15) of 40 x 20, three times."""
    config = AugmentConfig(order="crop-first")
    drawn = [draw(config, (375, 500), generator_for(Purpose.AUGMENT, 0, s, 0)) for s in range(300)]
    assert {min(t.size) for t in drawn} == set(config.scales)
    for t in drawn:
        assert t.window and t.crop == (0, 0, t.size[1], t.size[0])
        assert t.window[2] - t.window[0] >= 0.9 * 500 - 1 and t.window[3] - t.window[1] >= 0.9 * 375 - 1
    transform = Transform(size=(30, 60), flip=True, crop=(0, 0, 60, 30), window=(10, 5, 30, 15))
    moved = transform_proposals(transform, proposals([12.0, 6.0, 20.0, 16.0], [0.0, 0.0, 10.0, 20.0]), (20, 40))
    assert moved.box.tolist() == [[60 - 30, 3, 60 - 6, 33], [60, -15, 90, 45]]
    assert moved.valid.tolist() == [True, False]


def test_a_crop_of_fixed_sides() -> None:
    config = AugmentConfig(crop_sides="fixed", order="crop-first")
    windows = {draw(config, (100, 200), generator_for(Purpose.AUGMENT, 0, s, 0)).window for s in range(50)}
    assert {(w[2] - w[0], w[3] - w[1]) for w in windows if w} == {(180, 90)} and len(windows) > 20


@pytest.mark.parametrize("exposure", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("saturation", [0.7, 1.0, 1.5])
def test_colours_in_hsv(exposure: float, saturation: float) -> None:
    """As Python's colorsys has it; black, white, grey and full colours among them."""
    generator = torch.Generator().manual_seed(0)
    pixels = (torch.rand(3, 4, 8, generator=generator) * 255).round()
    pixels[:, 0, :5] = torch.tensor([[0.0, 0, 0], [255, 255, 255], [99, 99, 99], [255, 0, 0], [0, 3, 0]]).T
    transform = Transform((4, 8), False, (0, 0, 8, 4), exposure, saturation, hsv=True)
    out = transform_image(transform, pixels)
    for row in range(4):
        for column in range(8):
            hue, full, value = colorsys.rgb_to_hsv(*(pixels[:, row, column] / 255).tolist())
            expected = colorsys.hsv_to_rgb(hue, min(1, full * saturation), min(1, value * exposure))
            assert (out[:, row, column] / 255).tolist() == pytest.approx(expected, abs=1e-5)


def test_longer_side_stays_within_its_limit() -> None:
    assert resized((100, 400), 480, 2000) == (480, 1920)
    assert resized((100, 1000), 480, 2000) == (200, 2000)
    assert resized((1, 5000), 480, 2000) == (1, 2000)
