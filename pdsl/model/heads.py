"""Heads of the detection branch: shared fully connected layers, two-stream head, refinement heads (Sec. 3.2)."""

import math
from collections.abc import Sequence
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
Dropout = torch.Generator | Tensor | None
"""Where dropout comes from: a generator on the features' device that is drawn from, what `BoxHead.draw` drew before, or
None for no dropout."""


@dataclass
class Refinements:
    """What the n^r refinement heads say. logit: (n^r, P, C + 1) float32, S^r before the softmax, background last;
    delta: (n^r, P, C, 4) float32 weighted deltas that give B^r, or None without regression."""

    logit: Tensor
    delta: Tensor | None

    @property
    def n_r(self) -> int:
        """Number of heads, n^r."""
        return self.logit.shape[0]


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

    def draw(self, rows: int, generator: torch.Generator, device: torch.device | str) -> Tensor | None:
        """Dropout of all layers for `rows` proposals, drawn at once: (rows, sum of widths) bool, False where an output
        is left out. None in eval mode and for a rate of 0."""
        if not self.training or self.config.dropout == 0:
            return None
        keep = torch.empty((rows, sum(self.config.hidden)), dtype=torch.bool, device=device)
        return keep.bernoulli_(1 - self.config.dropout, generator=generator)

    def forward(self, features: FeatureMap, box: Tensor, objectness: Tensor, dropout: Dropout) -> Tensor:
        """box: (P, 4), clipped here for pooling; objectness: (P,). Returns (P, hidden[-1])."""
        rows = box.shape[0]
        keep = self.draw(rows, dropout, box.device) if isinstance(dropout, torch.Generator) else dropout
        if self.config.chunk is None or not torch.is_grad_enabled():
            return self._features(features, box, objectness, keep)
        parts = []
        for start in range(0, rows, self.config.chunk):
            part = slice(start, start + self.config.chunk)
            arguments = (features, box[part], objectness[part], None if keep is None else keep[part])
            parts.append(checkpoint(self._features, *arguments, use_reentrant=False, preserve_rng_state=False))
        return torch.cat(parts)

    def _features(self, features: FeatureMap, box: Tensor, objectness: Tensor, keep: Tensor | None) -> Tensor:
        pooled = pool_boxes(features, box, self.config.pool)
        if self.config.objectness:
            # (s x) W + b = s (x W) + b: the factor is applied behind the layer, so the pooled features are not copied
            x = F.linear(pooled.flatten(1), self.fc1.weight)
            x = x * (objectness[:, None] + 1).to(x.dtype) + self.fc1.bias.to(x.dtype)
        else:
            x = self.fc1(pooled.flatten(1))
        if keep is None:
            x = F.relu(x)
            return x if self.fc2 is None else F.relu(self.fc2(x))
        first, *second = (keep.to(x.dtype) / (1 - self.config.dropout)).split(list(self.config.hidden), 1)
        x = F.relu(x) * first
        return x if self.fc2 is None else F.relu(self.fc2(x)) * second[0]


class TwoStreamHead(nn.Module):
    """WSDDN's classification and detection stream, two layers of C outputs.

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

    def with_prior(self, detection: Tensor, objectness: Tensor) -> Tensor:
        """Logits (P, C) of the detection stream, so that the softmax over proposals weighs them by objectness^prior."""
        if not self.prior:
            return detection
        return detection + self.prior * objectness.clamp_min(LEAST_OBJECTNESS).log()[:, None]


class RefinementHead(nn.Module):
    """Proposal classification into C + 1 classes and class-specific box regression, C x 4 outputs (or none)."""

    def __init__(self, width: int, n_classes: int, regression: bool) -> None:
        super().__init__()
        self.classification = _linear(width, n_classes + 1, 0.01)
        self.regression = _linear(width, n_classes * 4, 0.001) if regression else None


def detection_heads(
    x: Tensor, objectness: Tensor, valid: Tensor, two_stream: TwoStreamHead, refinement: Sequence[RefinementHead]
) -> tuple[Tensor, Refinements]:
    """S^0 (P, C) float32, and what the refinement heads say, of proposal features x (P, d).

    objectness: (P,); valid: (P,) bool. Every head is a linear layer of the same features: all of them are one product.
    """
    streams = [two_stream.classification, two_stream.detection]
    classification = [head.classification for head in refinement]
    regression = [head.regression for head in refinement if head.regression is not None]
    layers = [*streams, *classification, *regression]
    together = F.linear(x, torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers]))
    n_r, rows, n_classes = len(refinement), x.shape[0], streams[0].out_features
    widths = [n_classes, n_classes, n_r * (n_classes + 1), len(regression) * n_classes * 4]
    first, second, logit, delta = at_least_float32(together).split(widths, 1)
    return proposal_scores(first, two_stream.with_prior(second, objectness), valid), Refinements(
        logit.view(rows, n_r, n_classes + 1).transpose(0, 1),
        delta.view(rows, n_r, n_classes, 4).transpose(0, 1) if regression else None,
    )


def _linear(width: int, outputs: int, deviation: float) -> nn.Linear:
    """Normal weights of the given deviation at the usual width of 4096, and of outputs as large at any other."""
    layer = nn.Linear(width, outputs)
    nn.init.normal_(layer.weight, std=deviation * math.sqrt(4096 / width))
    nn.init.zeros_(layer.bias)
    return layer
