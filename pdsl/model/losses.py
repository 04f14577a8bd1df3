"""From the equations' sums to the loss terms of one image: normalisation and weights, as configured."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdsl.config.model import ModelConfig
from pdsl.model.boxes import encode
from pdsl.model.equations import (
    activation_correlation,
    correlation_loss,
    detection_loss,
    multiple_instance_loss,
    objective,
    proposal_activation,
    refinement_loss,
    segmentation_losses,
)
from pdsl.model.heads import Refinement
from pdsl.model.pseudo_labels import PseudoLabels
from pdsl.structures import Sample

LossTerms = dict[str, Tensor]
"""Name of a term -> () float32, weighted."""


@dataclass
class MaskInputs:
    """What the losses of the mask branch need of its F proposals.

    logit: (F, 1 + n^m, h, w); target: (F, h, w); taken, foreground: (F,) bool; image_score: (F,) y_{t_p};
    own_score: (F,) S^{n^r}_{p t_p}; pseudo_score: (F,) the score of the pseudo box; n_proposals: () n^P.
    """

    logit: Tensor
    target: Tensor
    taken: Tensor
    foreground: Tensor
    image_score: Tensor
    own_score: Tensor
    pseudo_score: Tensor
    n_proposals: Tensor


def total(terms: LossTerms) -> Tensor:
    """Eq. 1 of one image from its terms, by way of Eq. 4, 5 and 6: the sum of all."""
    groups: dict[str, list[Tensor]] = {"mil": [], "refine": [], "mask": [], "correlation": []}
    for name, value in terms.items():
        groups[name.split(".")[0].rstrip("0123456789")].append(value)
    detection = detection_loss(groups["mil"][0], groups["refine"])
    segmentation = torch.stack(groups["mask"]).sum()
    return objective(detection, segmentation, correlation_loss(groups["correlation"]).to(detection.device))


def detection_terms(
    config: ModelConfig,
    y: Tensor,
    sample: Sample,
    refinements: Sequence[Refinement],
    labels: Sequence[PseudoLabels],
) -> LossTerms:
    """`mil` (Eq. 2) and, per refinement head r, `refine<r>.class` and `refine<r>.box` (Eq. 3) by labels[r - 1]."""
    settings, weights = config.detection, config.loss_weights
    valid = sample.proposals.valid
    mil = multiple_instance_loss(y, sample.label) * valid.any()
    if settings.mil_reduction == "mean":
        mil = mil / y.shape[0]
    terms = {"mil": weights.mil * mil}
    n_proposals = valid.sum().clamp(min=1)
    for number, (refinement, (boxes, assignment)) in enumerate(zip(refinements, labels, strict=False), 1):
        goal = encode(sample.proposals.box, boxes.box[assignment.nearest], settings.delta_weights)
        classification, regression = refinement_loss(
            refinement.logit, assignment.label, assignment.weight, refinement.delta, goal, settings.smooth_l1_beta
        )
        if config.normalisation == "per_image":
            classification = classification / n_proposals
        elif config.normalisation == "release":
            classification = classification / (assignment.weight > 1e-12).sum().clamp(min=1)
        if config.normalisation != "as_printed":
            regression = regression / n_proposals
        terms[f"refine{number}.class"] = weights.refinement * classification
        if refinement.delta is not None:
            terms[f"refine{number}.box"] = weights.regression * regression
    return terms


def mask_terms(config: ModelConfig, inputs: MaskInputs) -> LossTerms:
    """Per mask head m, `mask<m>` (Eq. 5) and, where it takes part, `correlation<m>` (Eq. 7 and 8)."""
    settings, weights = config.mask, config.loss_weights
    foreground = inputs.foreground.float()
    specific = foreground * inputs.image_score if settings.weighting == "image_score" else foreground
    sums = segmentation_losses(inputs.logit, inputs.target, inputs.taken.float(), specific, settings.self_training)
    terms: LossTerms = {}
    for m, value in enumerate(sums):
        if config.normalisation != "as_printed":
            count = (inputs.taken if m == 0 else inputs.foreground).sum().clamp(min=1)
            value = value / (count * inputs.logit.shape[-1] * inputs.logit.shape[-2])
        terms[f"mask{m}"] = weights.mask * value
    if not config.correlation.enabled:
        return terms
    score = inputs.pseudo_score if config.correlation.target == "pseudo_box" else inputs.own_score
    if not config.correlation.gradient:
        score = score.detach()
    n_proposals = inputs.foreground.sum() if config.normalisation == "release" else inputs.n_proposals
    activation = proposal_activation(inputs.logit, config.correlation.tau)
    for m in range(0 if config.correlation.class_agnostic else 1, activation.shape[1]):
        value = activation_correlation(activation[:, m], score, foreground, n_proposals)
        terms[f"correlation{m}"] = weights.correlation * value
    return terms
