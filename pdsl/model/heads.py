"""Heads of the detection branch: shared fully connected layers, two-stream head, refinement heads (Sec. 3.2)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pdsl.config.model import BoxHeadConfig
from pdsl.model.backbone import FeatureMap
from pdsl.model.equations import at_least_float32, proposal_scores
from pdsl.model.pooling import pool_boxes

LEAST_OBJECTNESS = 1e-4
"""What the logarithm of an objectness of 0 (whole-image boxes, padding, files without scores) stands for."""


@dataclass
class Refinement:
    """One refinement head's output. logit: (P, C + 1), S^r before the softmax, background last;
    delta: (P, C, 4) weighted deltas that give B^r, or None without regression."""

    logit: Tensor
    delta: Tensor | None


class BoxHead(nn.Module):
    """RoIPool and fully connected layers (two, or one) with ReLU and dropout: proposals -> proposal features."""

    def __init__(self, channels: int, config: BoxHeadConfig) -> None:
        super().__init__()
        self.config = config
        self.fc1 = nn.Linear(channels * config.pool**2, config.hidden[0])
        self.fc2 = nn.Linear(*config.hidden) if len(config.hidden) == 2 else None
        for layer in filter(None, (self.fc1, self.fc2)):
            if config.start == "normal":
                nn.init.normal_(layer.weight, std=0.005)
                nn.init.constant_(layer.bias, 0.1)
            else:
                nn.init.kaiming_uniform_(layer.weight, a=1)
                nn.init.zeros_(layer.bias)

    def forward(
        self, features: FeatureMap, box: Tensor, objectness: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """box: (P, 4), clipped here for pooling; objectness: (P,). Returns (P, hidden[-1]).

        generator: source of dropout, on the features' device; None or eval mode: no dropout.
        """
        rows, rate = box.shape[0], self.config.dropout
        keep: list[Tensor | None] = [None for _ in self.config.hidden]
        if self.training and generator is not None and rate > 0:
            keep = [_bernoulli((rows, width), 1 - rate, generator) for width in self.config.hidden]
        if self.config.chunk is None or not torch.is_grad_enabled():
            return self._features(features, box, objectness, *keep)
        parts = []
        for start in range(0, rows, self.config.chunk):
            part = slice(start, start + self.config.chunk)
            masks = [None if k is None else k[part] for k in keep]
            arguments = (features, box[part], objectness[part], *masks)
            parts.append(checkpoint(self._features, *arguments, use_reentrant=False, preserve_rng_state=False))
        return torch.cat(parts)

    def _features(self, features: FeatureMap, box: Tensor, objectness: Tensor, *keep: Tensor | None) -> Tensor:
        pooled = pool_boxes(features, box, self.config.pool)
        if self.config.objectness:
            # (s x) W + b = s (x W) + b: the factor is applied behind the layer, so the pooled features are not copied
            x = F.linear(pooled.flatten(1), self.fc1.weight)
            x = x * (objectness[:, None] + 1).to(x.dtype) + self.fc1.bias.to(x.dtype)
        else:
            x = self.fc1(pooled.flatten(1))
        x = self._dropout(F.relu(x), keep[0])
        return x if self.fc2 is None else self._dropout(F.relu(self.fc2(x)), keep[1])

    def _dropout(self, x: Tensor, keep: Tensor | None) -> Tensor:
        return x if keep is None else x * keep / (1 - self.config.dropout)


class TwoStreamHead(nn.Module):
    """WSDDN's classification and detection stream.

    prior: exponent of the proposals' objectness in the softmax over proposals (`DetectionConfig.objectness_prior`).
    """

    def __init__(
        self, width: int, n_classes: int, start: Literal["normal", "xavier"] = "normal", prior: float = 0.0
    ) -> None:
        super().__init__()
        self.prior = prior
        self.classification = _linear(width, n_classes, 0.01)
        self.detection = _linear(width, n_classes, 0.01)
        if start == "xavier":
            nn.init.xavier_uniform_(self.classification.weight)
            nn.init.xavier_uniform_(self.detection.weight)

    def forward(self, x: Tensor, objectness: Tensor, valid: Tensor) -> Tensor:
        """x: (P, d), objectness: (P,), valid: (P,) bool -> S^0 (P, C) float32."""
        detection = at_least_float32(self.detection(x))
        if self.prior:  # objectness^prior times the exponential, before the softmax sums
            detection = detection + self.prior * objectness.clamp_min(LEAST_OBJECTNESS).log()[:, None]
        return proposal_scores(self.classification(x), detection, valid)


class RefinementHead(nn.Module):
    """Proposal classification into C + 1 classes and class-specific box regression."""

    def __init__(self, width: int, n_classes: int, regression: bool) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.classification = _linear(width, n_classes + 1, 0.01)
        self.regression = _linear(width, n_classes * 4, 0.001) if regression else None

    def forward(self, x: Tensor) -> Refinement:
        """x: (P, d)."""
        delta = None
        if self.regression is not None:
            delta = at_least_float32(self.regression(x)).view(-1, self.n_classes, 4)
        return Refinement(at_least_float32(self.classification(x)), delta)


def _linear(width: int, outputs: int, deviation: float) -> nn.Linear:
    """Normal weights of the given deviation at the usual width of 4096, and of outputs as large at any other."""
    layer = nn.Linear(width, outputs)
    nn.init.normal_(layer.weight, std=deviation * math.sqrt(4096 / width))
    nn.init.zeros_(layer.bias)
    return layer


def _bernoulli(shape: tuple[int, int], probability: float, generator: torch.Generator) -> Tensor:
    return torch.empty(shape, dtype=torch.bool, device=generator.device).bernoulli_(probability, generator=generator)
