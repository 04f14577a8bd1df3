"""RoIPool by look-up against torchvision's loop, to the last bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import roi_pool

from pdsl.model.backbone import FeatureMap
from pdsl.model.pooling import pool_boxes
from pdsl.model.roi_pool import CHANNELS, roi_pool_values


def _boxes(count: int, height: float, width: float, generator: torch.Generator) -> torch.Tensor:
    """Random boxes of a picture, among them points, lines, the whole picture and halves of cells."""
    corner = torch.rand(count, 2, 2, generator=generator) * torch.tensor([width, height])
    box = torch.cat([corner.amin(1), corner.amax(1)], 1)
    box[::5] = (box[::5] / 4).round() * 4  # where rounding to cells is a tie
    odd = [[0, 0, 0, 0], [0, 0, width, height], [width, height, width, height], [3, 2, 3, height]]
    return torch.cat([box, torch.tensor(odd, dtype=box.dtype).clamp(min=0)])


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 23),
    width=st.integers(1, 31),
    side=st.integers(1, 8),
    count=st.integers(0, 40),
    channels=st.sampled_from([1, 5, CHANNELS, CHANNELS + 1]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    seed=st.integers(0, 99),
)
def test_equals_torchvision(
    height: int, width: int, side: int, count: int, channels: int, dtype: torch.dtype, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(1, channels, height, width, generator=generator).to(dtype)
    box = _boxes(count, 8.0 * height, 8.0 * width, generator)
    kernel_type = torch.float64 if dtype == torch.float64 else torch.float32
    expected = roi_pool(features.to(kernel_type), [box.to(kernel_type)], side, 1 / 8)
    found = roi_pool_values(features, box.to(kernel_type), side, 1 / 8)
    assert found.dtype == dtype
    assert torch.equal(found.to(kernel_type), expected)


@pytest.mark.parametrize("learns", [False, True])
def test_pooling_gives_the_same_with_and_without_gradients(learns: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(1, 4, 9, 12, generator=generator, requires_grad=learns)
    box = _boxes(40, 72.0, 96.0, generator) * 1.2 - 5  # pooling clips them
    pooled = pool_boxes(FeatureMap(values, (72, 96), 1 / 8), box, 7)
    assert pooled.requires_grad == learns
    with torch.no_grad():
        assert torch.equal(pooled, pool_boxes(FeatureMap(values, (72, 96), 1 / 8), box, 7))
