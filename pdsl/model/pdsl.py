"""PDSL: the whole network, in the paper's order (Fig. 2): backbone, detection, segmentation, correlation.

What the rest of the project uses:

    model.losses(samples, dropout)           -> LossTerms of each image; their total is Eq. 1
    model.detect(image, proposals)           -> DetectOutput: scores (P, C), boxes (P, C, 4), the image's features
    model.segment(features, box, label)      -> (D, 28, 28) mask probabilities in the boxes' frames
    model.pseudo_ground_truth(sample)        -> the boxes and masks that it would learn an image's objects from now
    model.dropped                            -> () int64 on the device, foreground proposals beyond mask.capacity so far
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from pdsl.config.model import ModelConfig
from pdsl.model.backbone import Backbone, FeatureMap
from pdsl.model.boxes import decode
from pdsl.model.cascade import gradient_seeds
from pdsl.model.equations import SCORE_MARGIN, at_least_float32, image_scores
from pdsl.model.heads import BoxHead, Dropout, RefinementHead, Refinements, TwoStreamHead, detection_heads
from pdsl.model.losses import LossTerms, MaskInputs, detection_terms, mask_terms
from pdsl.model.mask_head import MaskHead
from pdsl.model.pseudo_labels import (
    Assignment,
    PseudoBoxes,
    PseudoLabels,
    assign,
    mask_targets,
    nearest_seeds,
    propagate,
    sample_foreground,
    top_proposals,
)
from pdsl.structures import Proposals, Sample, Seeds


@dataclass
class DetectOutput:
    """Detections before any suppression, in the frame of the image given.

    score: (P, C) float32, average over the refinement heads, 0 for invalid proposals; mil: (P, C) float32, S^0; box:
    (P, C, 4) float32 xyxy, not clipped; features: what `segment` needs.
    """

    score: Tensor
    mil: Tensor
    box: Tensor
    features: FeatureMap


@dataclass
class PseudoGroundTruth:
    """What an image's objects are taken for, one per class; rows of absent classes hold anything.

    box: (C, 4) float32 xyxy within the image; score: (C,) of the proposal it came from; present: (C,) bool, t_c;
    mask: (C, 28, 28) float32 of 0 and 1, the mask target in the box's frame, all 0 where no seed was found.
    """

    box: Tensor
    score: Tensor
    present: Tensor
    mask: Tensor


class PDSL(nn.Module):
    """Parallel detection-and-segmentation learning. Assembled by `pdsl.model.build.build_model` only."""

    dropped: Tensor

    def __init__(
        self,
        config: ModelConfig,
        n_classes: int,
        backbone: Backbone,
        box_head: BoxHead,
        two_stream_head: TwoStreamHead,
        refinement_heads: Sequence[RefinementHead],
        mask_head: MaskHead,
    ) -> None:
        super().__init__()
        self.config = config
        self.n_classes = n_classes
        self.backbone = backbone
        self.box_head = box_head
        self.two_stream_head = two_stream_head
        self.refinement_heads = nn.ModuleList(refinement_heads)
        self.mask_head = mask_head
        self.register_buffer("dropped", torch.zeros((), dtype=torch.int64), persistent=False)

    def losses(self, samples: Sequence[Sample], dropout: Sequence[Dropout]) -> list[LossTerms]:
        """Loss terms of each image, in the samples' order, normalised per image; their total is the image's Eq. 1.

        dropout: of each image, on the model's device (None: none); `torch.compile` wants it drawn before.
        No value is read back from the device; on a CPU the mask branch takes as many rows as it needs.
        """
        samples = [_with_rows(sample) for sample in samples]
        maps = self._feature_maps([sample.image for sample in samples])
        return [
            self._image_losses(features, sample, drawn)
            for features, sample, drawn in zip(maps, samples, dropout, strict=True)
        ]

    def forward(self, samples: Sequence[Sample], dropout: Sequence[Dropout]) -> list[LossTerms]:
        """`losses`, as what a module is called for."""
        return self.losses(samples, dropout)

    def detect(self, image: Tensor, proposals: Proposals) -> DetectOutput:
        """image: (3, H, W) float RGB 0..255. The average output of all refinement heads: softmax scores and deltas.

        Call in eval mode and under `torch.no_grad()`. With n^r = 0: S^0 on the proposals themselves.
        """
        features = self.backbone.features(image)
        mil, refinements = self._scores(features, proposals, None)
        own_box = proposals.box[:, None].expand(-1, self.n_classes, -1)
        if not refinements.n_r:
            return DetectOutput(mil, mil, own_box, features)
        score = refinements.logit.softmax(-1)[..., :-1].mean(0) * proposals.valid[:, None]
        box = own_box if refinements.delta is None else decode(own_box, refinements.delta.mean(0))
        return DetectOutput(score, mil, box, features)

    def segment(self, features: FeatureMap, box: Tensor, label: Tensor) -> Tensor:
        """Masks of boxes (D, 4) of classes `label` (D,) int64, in the frames of the boxes clipped to the image.

        Returns (D, 28, 28) float32 probabilities, by the mean logit of the class-specific heads (head 0 for n^m = 0).
        """
        logit = self.mask_head(features, self.mask_head.frame(features, box), label)
        return (logit[:, 1:].mean(1) if self.config.mask.n_m > 0 else logit[:, 0]).sigmoid()

    @torch.no_grad()
    def pseudo_ground_truth(self, sample: Sample) -> PseudoGroundTruth:
        """What the mask branch learns from in `sample`, as the model is now and without dropout."""
        sample = _with_rows(sample)
        features = self.backbone.features(sample.image)
        score, refinements = self._scores(features, sample.proposals, None)
        probability = refinements.logit.softmax(-1)
        labels = self._pseudo_labels(score, probability, self._weights(image_scores(score)), refinements.delta, sample)
        pseudo, assignment = self._mask_labels(labels, refinements.n_r)
        seed_box, seed_mask, chosen = self._seeds(sample, pseudo, assignment)
        seed, found = propagate(pseudo.box, seed_box, chosen)
        frame = self.mask_head.frame(features, pseudo.box)
        target = mask_targets(frame, seed_box, seed_mask, seed, self.mask_head.side)
        return PseudoGroundTruth(frame, pseudo.score, pseudo.present, target * found[:, None, None])

    def scores_of(self, image: Tensor, box: Tensor, label: Tensor, objectness: Tensor) -> Tensor:
        """Scores (K,) of boxes (K, 4) for the classes `label` (K,), by the last refinement head or, without one, by the
        classification stream; without dropout, differentiable with respect to the image even through frozen layers."""
        x = self.box_head(self.backbone.features(image, through_frozen=True), box, objectness, None)
        layers = [self.two_stream_head.classification, *(head.classification for head in self._refinement_heads)]
        probability = at_least_float32(layers[-1](x)).softmax(1)
        return probability.gather(1, label[:, None]).squeeze(1)

    def _feature_maps(self, images: Sequence[Tensor]) -> list[FeatureMap]:
        """Images of equal size pass the backbone together; nothing is padded."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for position, image in enumerate(images):
            groups.setdefault(tuple(image.shape), []).append(position)
        maps: dict[int, FeatureMap] = {}
        for (_, height, width), positions in groups.items():
            alike = [images[p] for p in positions]
            batch = self.backbone(torch.stack(alike) if len(alike) > 1 else alike[0][None])
            for row, position in enumerate(positions):
                maps[position] = FeatureMap(batch[row : row + 1], (height, width), 1 / self.backbone.stride)
        return [maps[position] for position in range(len(images))]

    def _image_losses(self, features: FeatureMap, sample: Sample, dropout: Dropout) -> LossTerms:
        n_proposals = sample.proposals.valid.sum().clamp(min=1)
        score, refinements = self._scores(features, sample.proposals, dropout)
        y = image_scores(score)
        probability = refinements.logit.softmax(-1)
        labels = self._pseudo_labels(score, probability, self._weights(y), refinements.delta, sample)
        detection = detection_terms(self.config, y, sample, refinements, labels, n_proposals)
        scores = probability if refinements.n_r else score[None]
        inputs = self._mask_inputs(features, sample, scores, n_proposals, *self._mask_labels(labels, refinements.n_r))
        return LossTerms(detection, *mask_terms(self.config, inputs))

    def _scores(self, features: FeatureMap, proposals: Proposals, dropout: Dropout) -> tuple[Tensor, Refinements]:
        """S^0 (P, C), and what the refinement heads say."""
        x = self.box_head(features, proposals.box, proposals.score, dropout)
        return detection_heads(x, proposals.score, proposals.valid, self.two_stream_head, self._refinement_heads)

    @property
    def _refinement_heads(self) -> Sequence[RefinementHead]:
        return cast(Sequence[RefinementHead], self.refinement_heads)

    def _mask_labels(self, labels: PseudoLabels, n_r: int) -> PseudoLabels:
        """Of the n^r + 1 pseudo labels those of the mask branch."""
        entry = n_r if self.config.mask.labels == "predictions" else max(n_r - 1, 0)
        return labels[0].of(entry), labels[1].of(entry)

    def _weights(self, y: Tensor) -> Tensor:
        """y_t of Eq. 3 and 5 by class (C,): the image scores; the release keeps them within Eq. 2's margin."""
        return y.clamp(SCORE_MARGIN, 1 - SCORE_MARGIN) if self.config.normalisation == "release" else y

    @torch.no_grad()
    def _pseudo_labels(
        self, score: Tensor, probability: Tensor, y: Tensor, delta: Tensor | None, sample: Sample
    ) -> PseudoLabels:
        """Pseudo boxes and assignments by the detections of S^0 and of every refinement head: n^r + 1 of them.

        Entry r is what head r + 1 learns from. score: S^0 (P, C); probability: (n^r, P, C + 1), S^r; y: (C,) what
        weighs the proposals of each class; delta: (n^r, P, C, 4) of the refinement heads.
        """
        config, proposals = self.config.detection, sample.proposals
        scores = torch.cat([score[None], probability[..., :-1]])
        pseudo = top_proposals(scores, proposals.box, proposals.valid, sample.label)
        if delta is not None and config.pseudo_box == "regressed":
            row = pseudo.index[1:, None, :, None].expand(-1, 1, -1, 4)
            regressed = decode(pseudo.box[1:], delta.gather(1, row)[:, 0])
            pseudo.box = torch.cat([pseudo.box[:1], regressed])
        bands = config.foreground_iou, config.background_iou
        return pseudo, assign(proposals.box, proposals.valid, pseudo, y, *bands)

    def _mask_inputs(
        self,
        features: FeatureMap,
        sample: Sample,
        scores: Tensor,
        n_proposals: Tensor,
        pseudo: PseudoBoxes,
        assignment: Assignment,
    ) -> MaskInputs:
        """Logits, targets and weights of the mask branch for the image's F proposals. scores: of heads, the last of
        them S^{n^r} (P, C or more); n_proposals: () n^P, at least 1."""
        config, proposals = self.config.mask, sample.proposals
        with torch.no_grad():
            picked = sample_foreground(assignment, proposals.valid, config.capacity, config.proposals == "all")
            self.dropped += picked.dropped
            if picked.index.is_cpu and not torch.compiler.is_compiling():
                picked = picked.without_padding()
            box, nearest = proposals.box[picked.index], assignment.nearest[picked.index]
            seed_box, seed_mask, chosen = self._seeds(sample, pseudo, assignment)
            seed, found = propagate(box, seed_box, chosen)
            frame = self.mask_head.frame(features, box)
            target = mask_targets(frame, seed_box, seed_mask, seed, self.mask_head.side)
            taken = foreground = picked.taken & found
            if config.proposals == "all":
                foreground = taken & assignment.foreground[picked.index]
        if self.config.correlation.target == "pseudo_box":
            agreed = pseudo.score[nearest]
        else:
            *_, rows, columns = scores.shape
            place = torch.add(nearest, picked.index, alpha=columns) + (len(scores) - 1) * rows * columns
            agreed = scores.flatten().gather(0, place)
        return MaskInputs(
            logit=self.mask_head(features, frame, nearest),
            target=target,
            taken=taken,
            foreground=foreground,
            image_score=assignment.weight[picked.index],
            score=agreed,
            n_proposals=n_proposals,
        )

    def _seeds(self, sample: Sample, pseudo: PseudoBoxes, assignment: Assignment) -> tuple[Tensor, Tensor, Tensor]:
        """Seed boxes (Q, 4), their masks (Q, 56, 56) bool and which of them count, (Q,) bool."""
        config, proposals = self.config.mask, sample.proposals
        if config.source == "cascade":
            return gradient_seeds(self.scores_of, sample, pseudo, config.cascade)
        seed_box, pool = proposals.box[sample.seeds.index], sample.seeds.valid
        if config.seed_pool == "foreground":
            pool = pool & assignment.foreground[sample.seeds.index]
        chosen = nearest_seeds(assignment.overlap[sample.seeds.index], pool, config.n_seed)
        return seed_box, sample.seeds.mask, chosen


def _with_rows(sample: Sample) -> Sample:
    """A sample with at least one row of proposals and of seeds: maxima over nothing are not defined."""
    proposals, seeds = sample.proposals, sample.seeds
    if len(proposals.valid) and len(seeds.valid):
        return sample

    def pad(x: Tensor) -> Tensor:
        return x if len(x) else x.new_zeros((1, *x.shape[1:]))

    return replace(
        sample,
        proposals=Proposals(pad(proposals.box), pad(proposals.score), pad(proposals.valid)),
        seeds=Seeds(pad(seeds.index), pad(seeds.mask), pad(seeds.valid)),
    )
