"""RoIPool and RoIAlign as torchvision defines them, on boxes within the image.

torchvision's kernels compute in float32 at least (it has none for bfloat16); both answer in the feature map's type.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align, roi_pool

from pdsl.model.backbone import FeatureMap
from pdsl.model.boxes import clip
from pdsl.model.roi_pool import roi_pool_values


def pool_boxes(features: FeatureMap, box: Tensor, side: int) -> Tensor:
    """RoIPool: boxes (P, 4) -> (P, D, side, side). On a CPU, where nothing learns through it, by table look-up."""
    clipped = clip(box, features.size).to(torch.promote_types(features.map.dtype, torch.float32))
    if looks_up(features):
        return roi_pool_values(features.map, clipped, side, features.scale)
    pooled: Tensor = roi_pool(features.wide, _of_one_image(clipped), side, features.scale)
    return pooled.to(features.map.dtype)


def looks_up(features: FeatureMap) -> bool:
    """Whether pooling goes by table: on a CPU, where nothing learns through it."""
    map_ = features.map
    return map_.is_cpu and not (map_.requires_grad and torch.is_grad_enabled()) and not torch.compiler.is_compiling()


def align_boxes(features: FeatureMap, box: Tensor, side: int, sampling: int) -> Tensor:
    """RoIAlign: boxes (P, 4) within the image -> (P, D, side, side). sampling: points per bin and axis; 0 = as many as
    it has cells."""
    values = features.wide
    aligned: Tensor = roi_align(
        values,
        _of_one_image(box.to(values.dtype)),
        side,
        features.scale,
        sampling_ratio=sampling,
        aligned=True,
    )
    return aligned.to(features.map.dtype)


def _of_one_image(box: Tensor) -> Tensor:
    """(P, 4) -> (P, 5), the place of their image in the batch before each."""
    return F.pad(box, (1, 0))
