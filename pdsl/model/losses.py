"""From the equations' sums to the loss terms of one image, normalised as configured, and to their total (Eq. 1)."""

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
from pdsl.model.heads import Refinements
from pdsl.model.pseudo_labels import PseudoLabels
from pdsl.structures import Sample

Terms = dict[str, Tensor]
"""Name of a term -> () float32."""


@dataclass(frozen=True)
class LossTerms:
    """The loss of one image, term by term, normalised as configured.

    detection: `mil` (Eq. 2) and, per refinement head r, `refine<r>.class` and `refine<r>.box` (Eq. 3).
    segmentation: `mask<m>` per mask head m = 0..n^m (Eq. 5). correlation: `correlation<m>` (Eq. 7 and 8).
    """

    detection: Terms
    segmentation: Terms
    correlation: Terms

    def named(self) -> Terms:
        """All terms by name, in the paper's order; the names are the same for every image."""
        return self.detection | self.segmentation | self.correlation

    def values(self) -> Tensor:
        """All terms in the order of `named`, (K,); their sum is Eq. 1."""
        return torch.stack(list(self.named().values()))

    def total(self) -> Tensor:
        """Eq. 1, by way of Eq. 4, 5 and 6: what is learnt from."""
        mil, *refinements = self.detection.values()
        segmentation = torch.stack(list(self.segmentation.values())).sum()
        correlation = correlation_loss(list(self.correlation.values()))  # without any, 0 on the host: not to be moved
        return objective(detection_loss(mil, refinements), segmentation, correlation)


@dataclass
class MaskInputs:
    """What the losses of the mask branch need of its F proposals.

    logit: (F, 1 + n^m, h, w); target: (F, h, w); taken, foreground: (F,) bool; image_score: (F,) y_{t_p}; score: (F,)
    what the activations have to agree with; n_proposals: () n^P, at least 1.
    """

    logit: Tensor
    target: Tensor
    taken: Tensor
    foreground: Tensor
    image_score: Tensor
    score: Tensor
    n_proposals: Tensor


def detection_terms(
    config: ModelConfig,
    y: Tensor,
    sample: Sample,
    refinements: Refinements,
    labels: PseudoLabels,
    n_proposals: Tensor,
) -> Terms:
    """`mil` (Eq. 2) and, per refinement head r, `refine<r>.class` and `refine<r>.box` (Eq. 3) by entry r - 1 of the
    labels. n_proposals: () n^P, at least 1."""
    settings, valid = config.detection, sample.proposals.valid
    share = valid.any() / (y.shape[0] if settings.mil_reduction == "mean" else 1)
    terms = {"mil": multiple_instance_loss(y, sample.label) * share}
    if not refinements.n_r:
        return terms
    boxes, assignment = labels[0].of(slice(refinements.n_r)), labels[1].of(slice(refinements.n_r))
    nearest = assignment.nearest[..., None].expand(*assignment.nearest.shape, 4)
    weight = assignment.weight if config.normalisation == "as_printed" else assignment.weight / n_proposals
    classification, regression = refinement_loss(
        refinements.logit,
        assignment.label,
        weight,
        refinements.delta,
        encode(sample.proposals.box, boxes.box.gather(-2, nearest)),
        settings.smooth_l1_beta,
    )
    if config.normalisation == "release":
        classification = classification * (n_proposals / (assignment.weight > 1e-12).sum(-1).clamp(min=1))
    for number, (class_term, box_term) in enumerate(zip(classification.unbind(), regression.unbind(), strict=True), 1):
        terms[f"refine{number}.class"] = class_term
        if refinements.delta is not None:
            terms[f"refine{number}.box"] = box_term
    return terms


def mask_terms(config: ModelConfig, inputs: MaskInputs) -> tuple[Terms, Terms]:
    """Per mask head m, `mask<m>` (Eq. 5); and `correlation<m>` (Eq. 7 and 8) of the heads that take part in it."""
    settings = config.mask
    learning = torch.stack([inputs.taken, inputs.foreground])  # rows of head 0 and of the others
    if config.normalisation == "as_printed":
        weight = learning.to(inputs.logit.dtype)
    else:
        rows = learning.sum(1, keepdim=True, dtype=inputs.logit.dtype).clamp(min=1)
        weight = learning / (rows * inputs.target[0].numel())
    agnostic, specific = weight.unbind()
    if settings.weighting == "image_score":
        specific = specific * inputs.image_score
    sums = segmentation_losses(inputs.logit, inputs.target, agnostic, specific, settings.self_training)
    return {f"mask{m}": value for m, value in enumerate(sums.unbind())}, _correlation_terms(config, inputs)


def _correlation_terms(config: ModelConfig, inputs: MaskInputs) -> Terms:
    first = 0 if config.correlation.class_agnostic else 1
    if not config.correlation.enabled or first == inputs.logit.shape[1]:
        return {}
    score = inputs.score if config.correlation.gradient else inputs.score.detach()
    n_proposals = inputs.foreground.sum() if config.normalisation == "release" else inputs.n_proposals
    activation = proposal_activation(inputs.logit[:, first:], config.correlation.tau)
    values = activation_correlation(activation.T, score, inputs.foreground, n_proposals)
    return {f"correlation{m}": value for m, value in enumerate(values.unbind(), first)}
