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

    classes: Tensor

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
        self.register_buffer("classes", torch.arange(n_classes), persistent=False)
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

    def forward(self, features: FeatureMap, frame: Tensor, label: Tensor) -> Tensor:
        """frame: (F, 4), of `frame`; label: (F,) int64 < C (any class for background).

        Returns (F, 1 + n^m, h, w) float32 logits: M^0_p, then M^m_{p t_p}; only each box's own class is computed.
        """
        pooled = align_boxes(features, frame, self.config.pool, self.config.sampling)
        x = self.trunk(pooled).flatten(2)
        weight = self.agnostic.weight.expand(len(x), 1, -1)
        bias = self.agnostic.bias.expand(len(x), 1)
        if self.specific is None:
            logit = _predict(weight, bias, x)
        else:
            own_weight, own_bias = self._own_predictors(self.specific, label)
            if self.config.trunk_gradient == "all":
                logit = _predict(torch.cat([weight, own_weight], 1), torch.cat([bias, own_bias], 1), x)
            else:
                logit = torch.cat([_predict(weight, bias, x), _predict(own_weight, own_bias, x.detach())], 1)
        return at_least_float32(logit).view(-1, 1 + self.config.n_m, self.side, self.side)

    def _own_predictors(self, specific: nn.Linear, label: Tensor) -> tuple[Tensor, Tensor]:
        """The class-specific 1x1 predictors of each box's class: weights (F, n^m, width) and biases (F, n^m).

        Picked by a product with one-hot rows, whose gradient is deterministic on every device.
        """
        one_hot = (label[:, None] == self.classes).to(specific.weight.dtype)
        n_m = self.config.n_m
        both = torch.cat([x.view(self.n_classes, -1) for x in (specific.weight, specific.bias)], 1)
        weight, bias = (one_hot @ both).split([n_m * specific.in_features, n_m], 1)
        return weight.view(label.shape[0], n_m, -1), bias


def _predict(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """Each box's own 1x1 predictors: weights (F, M, width), biases (F, M), features (F, width, h w) -> (F, M, h w)."""
    return torch.baddbmm(bias[:, :, None].to(x.dtype), weight.to(x.dtype), x)


def _predictor(width: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(width, outputs)
    nn.init.normal_(layer.weight, std=0.001)
    nn.init.zeros_(layer.bias)
    return layer
