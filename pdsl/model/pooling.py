"""RoIPool and RoIAlign of torchvision, on boxes clipped to the image.

Both compute in float32 at least (torchvision has no bfloat16 kernels) and answer in the feature map's type.
"""

from torch import Tensor
from torchvision.ops import roi_align, roi_pool

from pdsl.model.backbone import FeatureMap
from pdsl.model.boxes import clip
from pdsl.model.equations import at_least_float32


def pool_boxes(features: FeatureMap, box: Tensor, side: int) -> Tensor:
    """RoIPool: boxes (P, 4) -> (P, D, side, side)."""
    values = at_least_float32(features.map)
    pooled: Tensor = roi_pool(values, [clip(box, features.size).to(values.dtype)], side, features.scale)
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
