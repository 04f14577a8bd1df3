"""From the equations' sums to the loss terms of one image, normalised as configured, and to their total (Eq. 1)."""

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

    def total(self) -> Tensor:
        """Eq. 1, by way of Eq. 4, 5 and 6: what is learnt from."""
        mil, *refinements = self.detection.values()
        segmentation = torch.stack(list(self.segmentation.values())).sum()
        correlation = correlation_loss(list(self.correlation.values()))  # without any, 0 on the host: not to be moved
        return objective(detection_loss(mil, refinements), segmentation, correlation)


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


def detection_terms(
    config: ModelConfig,
    y: Tensor,
    sample: Sample,
    refinements: Sequence[Refinement],
    labels: Sequence[PseudoLabels],
) -> Terms:
    """`mil` (Eq. 2) and, per refinement head r, `refine<r>.class` and `refine<r>.box` (Eq. 3) by labels[r - 1]."""
    settings = config.detection
    valid = sample.proposals.valid
    mil = multiple_instance_loss(y, sample.label) * valid.any()
    if settings.mil_reduction == "mean":
        mil = mil / y.shape[0]
    terms = {"mil": mil}
    n_proposals = valid.sum().clamp(min=1)
    for number, (refinement, (boxes, assignment)) in enumerate(zip(refinements, labels, strict=False), 1):
        goal = encode(sample.proposals.box, boxes.box[assignment.nearest])
        classification, regression = refinement_loss(
            refinement.logit, assignment.label, assignment.weight, refinement.delta, goal, settings.smooth_l1_beta
        )
        if config.normalisation == "per_image":
            classification = classification / n_proposals
        elif config.normalisation == "release":
            classification = classification / (assignment.weight > 1e-12).sum().clamp(min=1)
        if config.normalisation != "as_printed":
            regression = regression / n_proposals
        terms[f"refine{number}.class"] = classification
        if refinement.delta is not None:
            terms[f"refine{number}.box"] = regression
    return terms


def mask_terms(config: ModelConfig, inputs: MaskInputs) -> tuple[Terms, Terms]:
    """Per mask head m, `mask<m>` (Eq. 5); and `correlation<m>` (Eq. 7 and 8) of the heads that take part in it."""
    settings = config.mask
    foreground = inputs.foreground.to(inputs.logit.dtype)
    specific = foreground * inputs.image_score if settings.weighting == "image_score" else foreground
    sums = segmentation_losses(
        inputs.logit, inputs.target, inputs.taken.to(inputs.logit.dtype), specific, settings.self_training
    )
    segmentation: Terms = {}
    for m, value in enumerate(sums):
        if config.normalisation != "as_printed":
            count = (inputs.taken if m == 0 else inputs.foreground).sum().clamp(min=1)
            value = value / (count * inputs.logit.shape[-1] * inputs.logit.shape[-2])
        segmentation[f"mask{m}"] = value
    return segmentation, _correlation_terms(config, inputs, foreground)


def _correlation_terms(config: ModelConfig, inputs: MaskInputs, foreground: Tensor) -> Terms:
    if not config.correlation.enabled:
        return {}
    score = inputs.pseudo_score if config.correlation.target == "pseudo_box" else inputs.own_score
    if not config.correlation.gradient:
        score = score.detach()
    n_proposals = inputs.foreground.sum() if config.normalisation == "release" else inputs.n_proposals
    activation = proposal_activation(inputs.logit, config.correlation.tau)
    terms: Terms = {}
    for m in range(0 if config.correlation.class_agnostic else 1, activation.shape[1]):
        terms[f"correlation{m}"] = activation_correlation(activation[:, m], score, foreground, n_proposals)
    return terms
