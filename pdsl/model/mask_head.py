"""The segmentation branch (Sec. 3.3): RoIAlign, a shared trunk, a class-agnostic and n^m class-specific predictors."""

import torch
from torch import Tensor, nn

from pdsl.config.model import MaskConfig
from pdsl.model.backbone import FeatureMap
from pdsl.model.boxes import clip
from pdsl.model.equations import at_least_float32
from pdsl.model.pooling import align_boxes


class MaskHead(nn.Module):
    """Boxes and their classes -> mask logits of all heads. The 1x1 predictors share one trunk."""

    def __init__(self, channels: int, n_classes: int, config: MaskConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels
        layers: list[nn.Module] = []
        for number in range(config.convs):
            layers += [nn.Conv2d(channels if number == 0 else width, width, 3, padding=1), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(width if config.convs else channels, width, 2, 2), nn.ReLU(inplace=True)]
        self.trunk = nn.Sequential(*layers)
        for layer in self.trunk:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.n_classes = n_classes
        self.agnostic = _predictor(width, 1)
        # rows: class by class, n^m heads each
        self.specific = _predictor(width, n_classes * config.n_m) if config.n_m else None

    @property
    def side(self) -> int:
        """Side h = w of a mask."""
        return 2 * self.config.pool

    def frame(self, features: FeatureMap, box: Tensor) -> Tensor:
        """The frames in which masks of `box` (F, 4) live: the boxes clipped to the image."""
        return clip(box, features.size)

    def forward(self, features: FeatureMap, box: Tensor, label: Tensor) -> Tensor:
        """box: (F, 4), clipped here; label: (F,) int64 < C (any class for background).

        Returns (F, 1 + n^m, h, w) float32 logits: M^0_p, then M^m_{p t_p}; only each box's own class is computed.
        """
        pooled = align_boxes(features, box, self.config.pool, self.config.sampling)
        x = self.trunk(pooled).flatten(2)
        logit = self.agnostic.weight @ x + self.agnostic.bias[:, None]
        if self.specific is not None:
            learnt = x if self.config.trunk_gradient == "all" else x.detach()
            weight, bias = self._own_predictors(self.specific, label)
            logit = torch.cat([logit, torch.baddbmm(bias[:, :, None].to(x.dtype), weight.to(x.dtype), learnt)], 1)
        return at_least_float32(logit).view(-1, 1 + self.config.n_m, self.side, self.side)

    def _own_predictors(self, specific: nn.Linear, label: Tensor) -> tuple[Tensor, Tensor]:
        """The class-specific 1x1 predictors of each box's class: weights (F, n^m, width) and biases (F, n^m).

        Picked by a product with one-hot rows, whose gradient is deterministic on every device.
        """
        one_hot = (label[:, None] == torch.arange(self.n_classes, device=label.device)).to(specific.weight.dtype)
        weight = one_hot @ specific.weight.view(self.n_classes, -1)
        bias = one_hot @ specific.bias.view(self.n_classes, self.config.n_m)
        return weight.view(label.shape[0], self.config.n_m, -1), bias


def _predictor(width: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(width, outputs)
    nn.init.normal_(layer.weight, std=0.001)
    nn.init.zeros_(layer.bias)
    return layer
