"""torchvision's Mask R-CNN on a small backbone, with heads that two CPU cores can train."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FrozenBatchNorm2d

BACKBONES: Mapping[str, tuple[Mapping[str, str], list[int], int]] = {
    "vgg16": ({"22": "0", "29": "1"}, [512, 512], 2),
    "resnet18": ({"layer2": "0", "layer3": "1", "layer4": "2"}, [128, 256, 512], 3),
    "resnet50": ({"layer2": "0", "layer3": "1", "layer4": "2"}, [512, 1024, 2048], 3),
    "mobilenet_v3_large": ({"6": "0", "12": "1", "16": "2"}, [40, 112, 960], 3),
}
"""The layers taken, of strides 8, 16 (and 32), their channels and number; the pyramid adds one of twice the stride."""
CLASSIFIER = ("classifier.", "fc.")
CHANNELS = 128
"""Of the pyramid and of the heads; torchvision's large models have 256."""


class FrozenTrunk(nn.Module):
    """A trunk that never learns. What it says of a picture is computed once, in bfloat16, and kept in memory."""

    def __init__(self, body: nn.Module, limit_gb: float) -> None:
        super().__init__()
        self.body = body.eval().requires_grad_(False)
        self.room = limit_gb * 1e9
        self.kept: dict[bytes, dict[str, Tensor]] = {}

    def train(self, mode: bool = True) -> "FrozenTrunk":
        """Training changes nothing inside."""
        self.training = mode
        return self

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        if not self.training or pictures.is_cuda:
            return self._maps(pictures)
        key = hashlib.blake2b(pictures.numpy().tobytes(), digest_size=16).digest()
        maps = self.kept.get(key)
        if maps is None:
            maps = {name: x.bfloat16() for name, x in self._maps(pictures).items()}
            self.room -= sum(x.nbytes for x in maps.values())
            if self.room > 0:
                self.kept[key] = maps
        return {name: x.float() for name, x in maps.items()}

    def _maps(self, pictures: Tensor) -> dict[str, Tensor]:
        with torch.autocast(pictures.device.type, torch.bfloat16):
            return {name: x.float() for name, x in self.body(pictures).items()}


def build_mask_rcnn(
    backbone: str, weights: str, classes: int, *, side: int, learn_trunk: bool = False, keep_gb: float = 6.0
) -> MaskRCNN:
    """A Mask R-CNN for `classes` classes (without the background) on pictures of shorter side `side`.

    weights: of the backbone: "scratch", "imagenet" (torchvision downloads them) or a file of that torchvision model,
    with or without its classifier. A backbone with weights stays as it is, unless learn_trunk. keep_gb: memory for its
    maps.
    """
    layers, channels, count = BACKBONES[backbone]
    trunk = _trunk(backbone, weights)
    pyramid = BackboneWithFPN(trunk, dict(layers), channels, CHANNELS)
    if weights != "scratch" and not learn_trunk:
        pyramid.body = FrozenTrunk(pyramid.body, keep_gb)
    strides = [8 * 2**level for level in range(count + 1)]
    return MaskRCNN(
        pyramid,
        min_size=side,
        max_size=2 * side,
        rpn_anchor_generator=AnchorGenerator(tuple((4 * s, 8 * s) for s in strides), ((0.5, 1.0, 2.0),) * len(strides)),
        rpn_pre_nms_top_n_train=500,
        rpn_post_nms_top_n_train=300,
        rpn_pre_nms_top_n_test=500,
        rpn_post_nms_top_n_test=300,
        box_batch_size_per_image=128,
        box_head=TwoMLPHead(CHANNELS * 7 * 7, 512),
        box_predictor=FastRCNNPredictor(512, classes + 1),
        mask_head=MaskRCNNHeads(CHANNELS, (CHANNELS, CHANNELS), 1),
        mask_predictor=MaskRCNNPredictor(CHANNELS, CHANNELS, classes + 1),
    )


def _trunk(backbone: str, weights: str) -> nn.Module:
    """The convolutions of a torchvision model. Normalisation of given weights is frozen: one picture is no batch."""
    options: dict[str, Any] = {}
    if backbone != "vgg16" and weights != "scratch":
        options["norm_layer"] = FrozenBatchNorm2d
    network = torchvision.models.get_model(backbone, weights=None, **options)
    if weights != "scratch":
        missing, unknown = network.load_state_dict(_read(backbone, weights), strict=False)
        missing = [name for name in missing if not name.startswith(CLASSIFIER)]
        if missing or unknown:
            raise SystemExit(
                f"--weights {weights}: not torchvision's {backbone}: {(missing + unknown)[0]} does not fit"
            )
    trunk = getattr(network, "features", network)
    if not isinstance(trunk, nn.Module):
        raise TypeError(f"{backbone} has no convolutions by itself")
    return trunk


def _read(backbone: str, weights: str) -> dict[str, Tensor]:
    if weights == "imagenet":
        published: dict[str, Tensor] = torchvision.models.get_model_weights(backbone).DEFAULT.get_state_dict()
        return published
    if not Path(weights).is_file():
        raise SystemExit(f"--weights {weights}: no such file; 'imagenet' downloads torchvision's, 'scratch' takes none")
    content = torch.load(weights, map_location="cpu", weights_only=True)
    return {name: value.float() if value.is_floating_point() else value for name, value in content.items()}
