"""Pseudo labels (Sec. 3.2 and 3.3): pseudo boxes, assignment, seed acquisition, propagation and mask targets.

Everything stays on the device: no value is read back, every shape is known beforehand (capacity C for the pseudo boxes,
one per class, absent classes masked; Q for seeds; F for foreground proposals), and there are no loops over proposals.
Nothing here carries a gradient. Ties go to the lower index.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pdsl.model.boxes import pairwise_iou


@dataclass
class PseudoBoxes:
    """The pseudo ground truth of one head: one box per present class.

    index: (C,) int64, the proposal it came from; box: (C, 4) float32 xyxy; score: (C,) its score in the previous head;
    present: (C,) bool, t_c. Rows of absent classes hold anything.
    """

    index: Tensor
    box: Tensor
    score: Tensor
    present: Tensor


@dataclass
class Assignment:
    """What every proposal should be, by one head's pseudo boxes.

    label: (P,) int64 t_p, background = C; weight: (P,) y_{t_p}, 0 for ignored and invalid proposals;
    foreground: (P,) bool; nearest: (P,) int64, the class whose pseudo box overlaps most; iou: (P,) that overlap.
    """

    label: Tensor
    weight: Tensor
    foreground: Tensor
    nearest: Tensor
    iou: Tensor


PseudoLabels = tuple[PseudoBoxes, Assignment]
"""The pseudo boxes that one head's detections give, and what they make of every proposal."""


@dataclass
class MaskSample:
    """The F proposals that enter the mask branch. index: (F,) int64 rows; taken: (F,) bool, False = padding;
    dropped: () int64, foreground proposals beyond the capacity."""

    index: Tensor
    taken: Tensor
    dropped: Tensor


def first_argmax(x: Tensor, dim: int) -> Tensor:
    """Index of the maximum, the lowest one among equals (torch leaves ties open); 0 where nothing compares (NaN)."""
    size = x.shape[dim]
    shape = [1] * x.dim()
    shape[dim] = size
    position = torch.arange(size, device=x.device).view(shape)
    candidate = torch.where(x == x.amax(dim, keepdim=True), position, size)
    return candidate.amin(dim).remainder(size)


def top_proposals(score: Tensor, box: Tensor, valid: Tensor, present: Tensor) -> PseudoBoxes:
    """Per class, the valid proposal of highest score. score (P, C), box (P, 4), valid (P,) bool, present (C,) bool."""
    index = first_argmax(score.masked_fill(~valid[:, None], -1.0), 0)
    return PseudoBoxes(index, box[index], score.gather(0, index[None])[0], present)


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
    overlap = pairwise_iou(box, pseudo.box).masked_fill(~pseudo.present, -1.0)
    nearest = first_argmax(overlap, 1)
    iou = overlap.amax(1)
    foreground = (iou >= foreground_iou) & valid
    background = (iou >= background_iou[0]) & (iou < background_iou[1]) & valid
    label = torch.where(foreground, nearest, n_classes)
    weight = image_score[nearest] * (foreground | background)
    return Assignment(label, weight, foreground, nearest, iou)


def choose_seeds(pseudo: PseudoBoxes, seed_box: Tensor, seed_valid: Tensor, n_seed: int) -> Tensor:
    """Seed acquisition: the n^seed cached seeds nearest to the top box of each present class: (Q,) bool.

    seed_box: (Q, 4); seed_valid: (Q,) bool, those to choose from.
    """
    overlap = pairwise_iou(pseudo.box, seed_box).masked_fill(~pseudo.present[:, None], -1.0)
    overlap = overlap.masked_fill(~seed_valid[None], -1.0)
    order = overlap.argsort(dim=1, descending=True, stable=True)
    place = torch.arange(order.shape[1], device=order.device).expand_as(order)
    rank = torch.empty_like(order).scatter(1, order, place)
    return ((rank < n_seed) & (overlap >= 0)).any(0)


def propagate(box: Tensor, seed_box: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Seed propagation: for each box (F, 4) the chosen seed it overlaps most.

    seed_box: (Q, 4), chosen: (Q,) bool. Returns seed (F,) int64 and found (F,) bool, False where no seed was chosen.
    """
    overlap = pairwise_iou(box, seed_box).masked_fill(~chosen, -1.0)
    return first_argmax(overlap, 1), overlap.amax(1) >= 0


def sample_foreground(assignment: Assignment, valid: Tensor, capacity: int | None, everything: bool) -> MaskSample:
    """The proposals of the mask branch: foreground first, nearest to their pseudo box first.

    capacity F (None: all P); rows beyond the foreground are padding. With `everything`, all valid proposals are taken.
    """
    n_proposals = valid.shape[0]
    size = n_proposals if everything or capacity is None else min(capacity, n_proposals)
    taken = valid if everything else assignment.foreground
    rank = assignment.iou + 2.0 * taken + 2.0 * assignment.foreground
    index = rank.argsort(descending=True, stable=True)[:size]
    return MaskSample(index, taken[index], taken.sum() - taken[index].sum())


def mask_targets(frame: Tensor, seed_box: Tensor, seed_mask: Tensor, seed: Tensor, side: int) -> Tensor:
    """Each proposal's part of its seed's mask: the mask, placed in the image, cropped by the proposal's own frame.

    frame: (F, 4), the boxes by which the features are pooled; seed_box: (Q, 4), unclipped; seed_mask: (Q, R, R) bool in
    the seeds' own frames; seed: (F,) int64. Returns (F, side, side) float32 of 0 and 1: a cell is foreground if at
    least half of its 2 x 2 sample points are. Outside the seed's box there is background.
    """
    resolution = seed_mask.shape[-1]
    source = seed_box[seed]
    points = (torch.arange(2 * side, device=frame.device, dtype=frame.dtype) + 0.5) / (2 * side)
    columns, inside_x = _cells(frame[:, 0], frame[:, 2], source[:, 0], source[:, 2], points, resolution)
    rows, inside_y = _cells(frame[:, 1], frame[:, 3], source[:, 1], source[:, 3], points, resolution)
    value = seed_mask[seed[:, None, None], rows[:, :, None], columns[:, None, :]]
    value = (value & inside_y[:, :, None] & inside_x[:, None, :]).to(torch.float32)
    return (F.avg_pool2d(value[:, None], 2)[:, 0] >= 0.5).to(torch.float32)


def _cells(
    low: Tensor, high: Tensor, source_low: Tensor, source_high: Tensor, points: Tensor, resolution: int
) -> tuple[Tensor, Tensor]:
    """Cells of the source interval under `points` (relative, 0..1) of the interval [low, high), along one axis."""
    position = low[:, None] + points * (high - low)[:, None]
    length = (source_high - source_low).clamp(min=1e-6)[:, None]
    cell = ((position - source_low[:, None]) / length * resolution).floor()
    return cell.clamp(0, resolution - 1).to(torch.int64), (cell >= 0) & (cell < resolution)
