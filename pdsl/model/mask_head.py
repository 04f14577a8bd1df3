"""The segmentation branch (Sec. 3.3): RoIAlign, a shared trunk, a class-agnostic and n^m class-specific predictors."""

import torch
from torch import Tensor, nn

from pdsl.model.backbone import FeatureMap
from pdsl.model.boxes import clip
from pdsl.model.config import MaskConfig
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
        x = self.trunk(pooled)
        weight, bias = self._predictors(label)
        logit = torch.baddbmm(bias[:, :, None].to(x.dtype), weight.to(x.dtype), x.flatten(2))
        return logit.float().view(-1, weight.shape[1], self.side, self.side)

    def _predictors(self, label: Tensor) -> tuple[Tensor, Tensor]:
        """The 1x1 predictors of each box's class: weights (F, 1 + n^m, width) and biases (F, 1 + n^m).

        Picked by a product with one-hot rows, whose gradient is deterministic on every device.
        """
        rows, heads = label.shape[0], self.config.n_m
        weight = self.agnostic.weight.expand(rows, 1, -1)
        bias = self.agnostic.bias.expand(rows, 1)
        if self.specific is None:
            return weight, bias
        one_hot = (label[:, None] == torch.arange(self.n_classes, device=label.device)).to(weight.dtype)
        specific = (one_hot @ self.specific.weight.view(self.n_classes, -1)).view(rows, heads, -1)
        specific_bias = one_hot @ self.specific.bias.view(self.n_classes, heads)
        return torch.cat([weight, specific.to(weight.dtype)], 1), torch.cat([bias, specific_bias.to(bias.dtype)], 1)


def _predictor(width: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(width, outputs)
    nn.init.normal_(layer.weight, std=0.001)
    nn.init.zeros_(layer.bias)
    return layer
