"""Pseudo labels (Sec. 3.2 and 3.3): pseudo boxes, assignment, seed acquisition, propagation and mask targets.

Everything stays on the device: no value is read back, every shape is known beforehand (capacity C for the pseudo boxes,
one per class, absent classes masked; Q for seeds; F for foreground proposals), and there are no loops over proposals.
Nothing here carries a gradient. Ties go to the lower index. Leading dimensions "..." hold heads, all computed at once.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pdsl.model.boxes import pairwise_iou


@dataclass
class PseudoBoxes:
    """The pseudo ground truth of one head, or of several: one box per present class.

    index: (..., C) int64, the proposal it came from; box: (..., C, 4) float32 xyxy; score: (..., C) its score in the
    previous head; present: (C,) bool, t_c. Rows of absent classes hold anything.
    """

    index: Tensor
    box: Tensor
    score: Tensor
    present: Tensor

    def of(self, head: int | slice) -> "PseudoBoxes":
        """Those of some of the heads."""
        return PseudoBoxes(self.index[head], self.box[head], self.score[head], self.present)


@dataclass
class Assignment:
    """What every proposal should be, by the pseudo boxes of one head, or of several.

    label: (..., P) int64 t_p, background = C; weight: (..., P) y_{t_p}, 0 for ignored and invalid proposals;
    foreground: (..., P) bool; nearest: (..., P) int64, the class whose pseudo box overlaps most; iou: (..., P) that
    overlap; overlap: (..., P, C) with the pseudo box of each class, -1 for absent ones.
    """

    label: Tensor
    weight: Tensor
    foreground: Tensor
    nearest: Tensor
    iou: Tensor
    overlap: Tensor

    def of(self, head: int | slice) -> "Assignment":
        """By the pseudo boxes of some of the heads."""
        parts = self.label, self.weight, self.foreground, self.nearest, self.iou, self.overlap
        return Assignment(*(part[head] for part in parts))


PseudoLabels = tuple[PseudoBoxes, Assignment]
"""The pseudo boxes that the detections of heads give, and what they make of every proposal."""


@dataclass
class MaskSample:
    """The F proposals that enter the mask branch. index: (F,) int64 rows; taken: (F,) bool, False = padding;
    dropped: () int64, foreground proposals beyond the capacity."""

    index: Tensor
    taken: Tensor
    dropped: Tensor

    def without_padding(self) -> "MaskSample":
        """The rows that are taken, which come first, or one. Of samples on a CPU, whose memory can be looked at: the
        host would have to wait for any other device."""
        rows = max(1, int(self.taken.numpy().sum()))
        return MaskSample(self.index[:rows], self.taken[:rows], self.dropped)


def first_argmax(x: Tensor, dim: int) -> Tensor:
    """Index of the maximum, the lowest one among equals, as torch promises; that of the first NaN if there is one."""
    return x.max(dim).indices


def top_proposals(score: Tensor, box: Tensor, valid: Tensor, present: Tensor) -> PseudoBoxes:
    """Per class, the valid proposal of highest score. score (..., P, C), box (P, 4); valid (P,), present (C,) bool."""
    index = first_argmax(torch.where(valid[:, None], score, -1.0), -2)
    return PseudoBoxes(index, box[index], score.gather(-2, index[..., None, :]).squeeze(-2), present)


def assign(
    box: Tensor,
    valid: Tensor,
    pseudo: PseudoBoxes,
    image_score: Tensor,
    foreground_iou: float,
    background_iou: tuple[float, float],
) -> Assignment:
    """Positive and negative labels of proposals `box` (P, 4), unclipped, by their overlap with the pseudo boxes.

    IoU >= foreground_iou: the class of the box overlapped most; largest IoU in [low, high): background, weighted by
    the class of the box overlapped most; between: ignored. image_score: (C,) y. Without a present class every proposal
    is background of weight 0, as there is no class whose score could weigh it.
    """
    n_classes = pseudo.present.shape[0]
    overlap = torch.where(pseudo.present, pairwise_iou(box, pseudo.box), -1.0)
    iou, nearest = overlap.max(-1)
    judged = torch.where(valid, iou, -1.0)
    foreground = judged >= foreground_iou
    counted = judged >= background_iou[0]
    if background_iou[1] < foreground_iou:
        counted = counted & ((judged < background_iou[1]) | foreground)
    label = torch.where(foreground, nearest, n_classes)
    weight = image_score[nearest] * counted
    return Assignment(label, weight, foreground, nearest, iou, overlap)


def choose_seeds(pseudo: PseudoBoxes, seed_box: Tensor, seed_valid: Tensor, n_seed: int) -> Tensor:
    """Seed acquisition: the n^seed cached seeds nearest to the top box of each present class: (Q,) bool.

    seed_box: (Q, 4); seed_valid: (Q,) bool, those to choose from.
    """
    return nearest_seeds(torch.where(pseudo.present, pairwise_iou(seed_box, pseudo.box), -1.0), seed_valid, n_seed)


def nearest_seeds(overlap: Tensor, seed_valid: Tensor, n_seed: int) -> Tensor:
    """`choose_seeds` by the overlap (Q, C) of each seed with the top box of each class, -1 for absent ones."""
    overlap = torch.where(seed_valid, overlap.T, -1.0)
    best, order = (part[:, :n_seed] for part in overlap.sort(dim=1, descending=True, stable=True))
    return torch.zeros_like(overlap, dtype=torch.bool).scatter(1, order, best >= 0).any(0)


def propagate(box: Tensor, seed_box: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Seed propagation: for each box (F, 4) the chosen seed it overlaps most.

    seed_box: (Q, 4), chosen: (Q,) bool. Returns seed (F,) int64 and found (F,) bool, False where no seed was chosen.
    """
    overlap, seed = torch.where(chosen, pairwise_iou(box, seed_box), -1.0).max(1)
    return seed, overlap >= 0


def sample_foreground(assignment: Assignment, valid: Tensor, capacity: int | None, everything: bool) -> MaskSample:
    """The proposals of the mask branch: foreground first, nearest to their pseudo box first.

    capacity F (None: all P); rows beyond the foreground are padding. With `everything`, all valid proposals are taken.
    """
    n_proposals = valid.shape[0]
    size = n_proposals if everything or capacity is None else min(capacity, n_proposals)
    taken = valid if everything else assignment.foreground
    # what is foreground overlaps more than what is not
    iou, index = torch.where(taken, assignment.iou, -2.0).sort(descending=True, stable=True)
    taken = iou > -2.0
    return MaskSample(index[:size], taken[:size], taken[size:].sum())


def mask_targets(frame: Tensor, seed_box: Tensor, seed_mask: Tensor, seed: Tensor, side: int) -> Tensor:
    """Each proposal's part of its seed's mask: the mask, placed in the image, cropped by the proposal's own frame.

    frame: (F, 4), the boxes by which the features are pooled; seed_box: (Q, 4), unclipped; seed_mask: (Q, R, R) bool in
    the seeds' own frames; seed: (F,) int64. Returns (F, side, side) float32 of 0 and 1: a cell is foreground if at
    least half of its 2 x 2 sample points are. Outside the seed's box there is background.
    """
    points = torch.arange(0.5, 2 * side, device=frame.device, dtype=frame.dtype) / (2 * side)
    cells, inside = _cells(frame, seed_box[seed], points, seed_mask.shape[-1])
    (columns, rows), (inside_x, inside_y) = cells.unbind(1), inside.unbind(1)
    value = seed_mask[seed[:, None, None], rows[:, :, None], columns[:, None, :]]
    value = (value & inside_y[:, :, None] & inside_x[:, None, :]).to(torch.float32)
    return (F.avg_pool2d(value[:, None], 2)[:, 0] >= 0.5).to(torch.float32)


def _cells(box: Tensor, source: Tensor, points: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """Cells of the frames of `source` (F, 4) under `points` (n,), relative, 0..1, of the boxes (F, 4), along x and y.

    Returns (F, 2, n) int64, within 0..resolution, and bool, whether the point lies in the frame at all.
    """
    low, high, source_low, source_high = (x[..., None] for x in (*box.split(2, 1), *source.split(2, 1)))
    position = torch.addcmul(low, points, high - low)
    length = (source_high - source_low).clamp(min=1e-6)
    cell = ((position - source_low) / length * resolution).floor()
    nearest = cell.clamp(0, resolution - 1)
    return nearest.to(torch.int64), nearest == cell
