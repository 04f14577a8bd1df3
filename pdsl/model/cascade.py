"""Cascade learning (Fig. 3): pseudo masks from the gradient of the detector's score, the parallel scheme's rival."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchvision.ops import roi_align
from torchvision.transforms.v2.functional import gaussian_blur

from pdsl.config.model import CascadeConfig
from pdsl.model.pseudo_labels import PseudoBoxes
from pdsl.structures import MASK_SIDE, Sample

if TYPE_CHECKING:
    from pdsl.model.pdsl import PDSL


def gradient_seeds(
    model: "PDSL", sample: Sample, pseudo: PseudoBoxes, config: CascadeConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """One seed per pseudo box: |d score / d image|, maximum over channels, smoothed, cut inside the box.

    Classes beyond `config.classes`, in the order of their scores, get none. Returns seed boxes (C, 4), masks
    (C, 56, 56) bool in their frames and which of them count, (C,) bool.
    """
    rank = pseudo.score.masked_fill(~pseudo.present, -1.0).argsort(descending=True, stable=True)
    rank = rank[: config.classes]
    box, counts = pseudo.box[rank], pseudo.present[rank]
    with torch.enable_grad():
        image = sample.image.detach().requires_grad_()
        score = top_scores(model, sample, image, box, rank, pseudo.index[rank])
        gradients = [torch.autograd.grad(s, image, retain_graph=True)[0] for s in score.unbind()]
    heat = torch.stack(gradients).abs().amax(1)
    return box, box_frame_masks(heat, box, config), counts


def top_scores(model: "PDSL", sample: Sample, image: Tensor, box: Tensor, label: Tensor, proposal: Tensor) -> Tensor:
    """Scores (K,) of `box` (K, 4) for the classes `label` (K,), by the last refinement head or, without one, by the
    classification stream; differentiable with respect to the image even through frozen layers, without dropout."""
    features = model.backbone.features(image, through_frozen=True)
    x = model.box_head(features, box, sample.proposals.score[proposal], None)
    if model.refinement_heads:
        probability = model.refinement_heads[-1](x).logit.softmax(1)
    else:
        probability = model.two_stream_head.classification(x).float().softmax(1)
    return probability.gather(1, label[:, None])[:, 0]


def box_frame_masks(heat: Tensor, box: Tensor, config: CascadeConfig) -> Tensor:
    """Heat maps (K, H, W), one per box (K, 4) -> (K, 56, 56) bool: smoothed, cut at a part of the box's maximum."""
    side = 2 * round(3 * config.sigma) + 1
    side = min(side, 2 * min(heat.shape[-2:]) - 1)  # the border is reflected and must be shorter than the image
    smooth = gaussian_blur(heat[:, None], [side, side], [config.sigma, config.sigma])
    rows = torch.arange(box.shape[0], device=box.device, dtype=box.dtype)[:, None]
    frame = roi_align(smooth, torch.cat([rows, box], 1), MASK_SIDE, sampling_ratio=2, aligned=True)[:, 0]
    highest = frame.amax((1, 2), keepdim=True)
    return (frame >= config.threshold * highest) & (highest > 0)
