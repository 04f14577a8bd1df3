"""RoIPool and RoIAlign as torchvision defines them, on boxes clipped to the image.

torchvision's kernels compute in float32 at least (it has none for bfloat16); both answer in the feature map's type.
"""

import torch
from torch import Tensor
from torchvision.ops import roi_align, roi_pool

from pdsl.model.backbone import FeatureMap
from pdsl.model.boxes import clip
from pdsl.model.equations import at_least_float32
from pdsl.model.roi_pool import roi_pool_values


def pool_boxes(features: FeatureMap, box: Tensor, side: int) -> Tensor:
    """RoIPool: boxes (P, 4) -> (P, D, side, side). On a CPU, where nothing learns through it, by table look-up."""
    clipped = clip(box, features.size).to(torch.promote_types(features.map.dtype, torch.float32))
    if features.map.device.type == "cpu" and not (features.map.requires_grad and torch.is_grad_enabled()):
        return roi_pool_values(features.map, clipped, side, features.scale)
    pooled: Tensor = roi_pool(at_least_float32(features.map), [clipped], side, features.scale)
    return pooled.to(features.map.dtype)


def align_boxes(features: FeatureMap, box: Tensor, side: int, sampling: int) -> Tensor:
    """RoIAlign: boxes (P, 4) -> (P, D, side, side). sampling: points per bin and axis; 0 = as many as it has cells."""
    values = at_least_float32(features.map)
    aligned: Tensor = roi_align(
        values,
        [clip(box, features.size).to(values.dtype)],
        side,
        features.scale,
        sampling_ratio=sampling,
        aligned=True,
    )
    return aligned.to(features.map.dtype)
