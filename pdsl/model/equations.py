"""Equations 1 to 8 of the paper, one function each, in its order. Pure; the sums stand as printed.

Symbols: P = n^P proposals, C = n^c classes, R = n^r refinement heads, t = labels, y = image-level scores, S = class
scores, B = boxes, M = masks. Background is class index C. Predictions arrive as logits where that keeps a loss finite;
everything is computed in float32 at least, whatever autocast delivers. Targets, y_t and earlier heads' scores are
constants: callers pass them without gradient. Leading dimensions "..." hold heads, which are all computed at once.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

SCORE_MARGIN = 1e-6
"""Eq. 2 takes logarithms of y and 1 - y: y is kept this far from 0 and 1 (the release does the same)."""


def objective(detection: Tensor, segmentation: Tensor, correlation: Tensor) -> Tensor:
    """Eq. 1: L = L_OD + L_IS + L_CL."""
    return detection + segmentation + correlation


def proposal_scores(class_logit: Tensor, proposal_logit: Tensor, valid: Tensor) -> Tensor:
    """S^0 = softmax over categories of C, times softmax over proposals of D (Sec. 3.2): (P, C) float32.

    class_logit C and proposal_logit D: (P, C). valid: (P,) bool; the others leave the softmax over proposals and get 0.
    """
    taking_part = valid[:, None]
    over_classes = at_least_float32(class_logit).softmax(1)
    over_proposals = torch.where(taking_part, at_least_float32(proposal_logit), -1e30).softmax(0)
    return over_classes * over_proposals * taking_part


def image_scores(score: Tensor) -> Tensor:
    """y_c = sum over proposals of S^0_rc (Sec. 3.2): (P, C) -> (C,)."""
    return score.sum(0)


def multiple_instance_loss(y: Tensor, t: Tensor) -> Tensor:
    """Eq. 2, L_OM: multi-label cross-entropy of the image scores y (C,) against the image labels t (C,) bool."""
    y = at_least_float32(y).clamp(SCORE_MARGIN, 1 - SCORE_MARGIN)
    return -torch.where(t, y, 1 - y).log().sum()


def refinement_loss(
    logit: Tensor, label: Tensor, weight: Tensor, delta: Tensor | None, delta_target: Tensor | None, beta: float
) -> tuple[Tensor, Tensor]:
    """Eq. 3, L_OR^r of one refinement head: its classification sum and its regression sum.

    logit: (P, C + 1) or (R, P, C + 1), S^r before the softmax. label: (..., P) int64 t_p^r, background = C.
    weight: (..., P) y_{t_p^r}. delta: (..., P, C, 4), the class-specific box prediction B^r as weighted deltas; None
    without regression (second sum 0). delta_target: (..., P, 4), what would move each proposal onto its pseudo box.
    beta: smooth L1's; 0 is plain L1. Returns two sums (...).
    """
    n_classes = logit.shape[-1] - 1
    logit = at_least_float32(logit)
    weight = weight.to(logit.dtype)
    entropy = F.cross_entropy(logit.movedim(-1, 1), label, reduction="none")
    classification = (weight * entropy).sum(-1)
    if delta is None or delta_target is None:
        return classification, torch.zeros_like(classification)
    foreground = label < n_classes  # [t >= 1] in the paper's numbering
    column = label.clamp(max=n_classes - 1)[..., None, None].expand(*label.shape, 1, 4)
    chosen = at_least_float32(delta).gather(-2, column).squeeze(-2)
    target = torch.where(foreground[..., None], delta_target.to(chosen.dtype), 0.0)
    distance = F.smooth_l1_loss(chosen, target, beta=beta, reduction="none").sum(-1)  # of beta 0: L1
    return classification, (weight * foreground * distance).sum(-1)


def detection_loss(multiple_instance: Tensor, refinements: Sequence[Tensor]) -> Tensor:
    """Eq. 4: L_OD = L_OM + the sum of L_OR^r over the n^r heads."""
    return torch.stack([multiple_instance, *refinements]).sum()


def segmentation_losses(
    logit: Tensor,
    target: Tensor,
    agnostic_weight: Tensor,
    specific_weight: Tensor,
    self_training: Literal["hard", "soft"] = "hard",
) -> Tensor:
    """Eq. 5, L_IS, one sum per mask head m = 0..n^m, (1 + n^m,); L_IS is their total.

    logit: (F, 1 + n^m, h, w): M^0_p, then M^m_{p t_p} of each proposal's own class, before the sigmoid.
    target: (F, h, w) in [0, 1], the pseudo mask of each proposal for head 0.
    agnostic_weight, specific_weight: (F,), weights of a proposal in head 0 (1 or 0) and in the heads m >= 1
    ([t_p = c] y_{t_p}; 0 for background and padding).
    self_training: heads m >= 1 learn from M^{m-1} of the same proposal, cut at 0.5 (hard) or as it is (soft).
    The binary cross-entropy is -sum(target log M + (1 - target) log(1 - M)); the paper's second sign is a slip.
    """
    logit = at_least_float32(logit)
    n_m = logit.shape[1] - 1
    previous = logit[:, :-1].detach()  # head m learns from head m - 1
    taught = (previous >= 0).to(logit.dtype) if self_training == "hard" else previous.sigmoid()
    targets = torch.cat([target[:, None].to(logit.dtype), taught], 1)
    weight = torch.stack([agnostic_weight.to(logit.dtype)] + [specific_weight.to(logit.dtype)] * n_m, 1)
    entropy = F.binary_cross_entropy_with_logits(logit, targets, reduction="none")
    return (weight * entropy.sum((2, 3))).sum(0)


def correlation_loss(activations: Sequence[Tensor]) -> Tensor:
    """Eq. 6: L_CL = the sum of L_ACL^m over the mask heads m = 1..n^m (empty, 0, for n^m = 0)."""
    return torch.stack(list(activations)).sum() if activations else torch.zeros(())


def proposal_activation(logit: Tensor, tau: float) -> Tensor:
    """Eq. 7: a_p^m = 1/tau log(1/hw sum exp(tau M)), with M = sigmoid(logit): (..., h, w) -> (...), in [0, 1]."""
    mask = at_least_float32(logit).sigmoid()
    cells = mask.shape[-1] * mask.shape[-2]
    return ((tau * mask).flatten(-2).logsumexp(-1) - math.log(cells)) / tau


def activation_correlation(activation: Tensor, score: Tensor, weight: Tensor, n_proposals: Tensor) -> Tensor:
    """Eq. 8, L_ACL^m: 1/n^P sum over foreground proposals of |a_p^m - a^_p|.

    activation: (..., F), a_p^m of Eq. 7; score: (F,), the detector's score of the same proposal and class.
    weight: (F,), 1 for foreground, 0 for padding (background has no mask, Eq. 7). n_proposals: n^P as a tensor ().
    """
    distance = (activation - at_least_float32(score)).abs()
    return (weight * distance).sum(-1) / n_proposals.clamp(min=1)


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision becomes float32; float32 and float64 stay."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
