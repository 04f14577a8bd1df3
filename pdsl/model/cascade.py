"""Cascade learning (Fig. 3): pseudo masks from the gradient of the detector's score, the parallel scheme's rival."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.ops import roi_align
from torchvision.transforms.v2.functional import gaussian_blur

from data.masks import MASK_SIDE
from pdsl.config.model import CascadeConfig
from pdsl.model.pseudo_labels import PseudoBoxes
from pdsl.structures import Sample

ScoresOf = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(image, box (K, 4), label (K,), objectness (K,)) -> (K,) scores, differentiable with respect to the image."""


def gradient_seeds(
    scores_of: ScoresOf, sample: Sample, pseudo: PseudoBoxes, config: CascadeConfig
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
        score = scores_of(image, box, rank, sample.proposals.score[pseudo.index[rank]])
        gradients = [torch.autograd.grad(s, image, retain_graph=True)[0] for s in score.unbind()]
    heat = torch.stack(gradients).abs().amax(1)
    return box, box_frame_masks(heat, box, config), counts


def box_frame_masks(heat: Tensor, box: Tensor, config: CascadeConfig) -> Tensor:
    """Heat maps (K, H, W), one per box (K, 4) -> (K, 56, 56) bool: smoothed, cut at a part of the box's maximum."""
    side = 2 * round(3 * config.sigma) + 1
    side = min(side, 2 * min(heat.shape[-2:]) - 1)  # the border is reflected and must be shorter than the image
    smooth = gaussian_blur(heat[:, None], [side, side], [config.sigma, config.sigma])
    rows = torch.arange(box.shape[0], device=box.device, dtype=box.dtype)[:, None]
    frame = roi_align(smooth, torch.cat([rows, box], 1), MASK_SIDE, sampling_ratio=2, aligned=True)[:, 0]
    highest = frame.amax((1, 2), keepdim=True)
    return (frame >= config.threshold * highest) & (highest > 0)
