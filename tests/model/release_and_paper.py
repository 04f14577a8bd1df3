"""One image's loss from beginning to end, in float64 and in loops, read from the paper's equations and the release.

Only the network's layers are the model's own; pooling is torchvision's. Nothing of `equations.py`, `losses.py`,
`pseudo_labels.py` or `boxes.py` is used. Choices are those of the presets, spelled out here once more.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import roi_align, roi_pool

from pdsl.model.pdsl import PDSL
from pdsl.structures import Sample
from tests.model import reference


@dataclass(frozen=True)
class Choices:
    """printed: sums, all proposals, soft targets, Eq. 2 as a sum. release: means, objectness, last head's labels …
    plus: the paper, with objectness as a prior and mask heads m >= 1 that teach the trunk nothing."""

    printed: bool = False
    release: bool = False
    plus: bool = False


PRESETS = {"as_printed": Choices(printed=True), "paper": Choices(), "official": Choices(release=True)}
PRESETS |= {"plus": Choices(plus=True)}
Top = dict[int, tuple[int, list[float], Tensor]]
"""By present class: its best proposal, that one's pseudo box, and the score of it (a constant)."""


def losses(model: PDSL, sample: Sample, choices: Choices, n_seed: int = 10) -> dict[str, Tensor]:
    """The terms by the model's names; their sum is Eq. 1."""
    box, valid = sample.proposals.box, sample.proposals.valid.tolist()
    features, classes = model.backbone.features(sample.image), sample.label.shape[0]
    height, width = sample.image.shape[1:]
    limits = torch.tensor([width, height, width, height], dtype=box.dtype)
    clipped = torch.minimum(box.clamp(min=0), limits)

    pooled = roi_pool(features.map, [clipped], 7, features.scale)
    if choices.release:
        pooled = pooled * (sample.proposals.score + 1)[:, None, None, None]
    x = model.box_head.fc2(model.box_head.fc1(pooled.flatten(1)).relu()).relu()
    c, d = model.two_stream_head.classification(x), model.two_stream_head.detection(x)
    members = [p for p in range(len(valid)) if valid[p]]
    if choices.plus:
        d = d + sample.proposals.score.log()[:, None]
    score = torch.zeros_like(c)
    if members:
        score[members] = torch.softmax(c[members], 1) * torch.softmax(d[members], 0)
    y = score.sum(0)
    n_p, present = max(len(members), 1), [k for k in range(classes) if sample.label[k]]

    inside = y.clamp(1e-6, 1 - 1e-6)
    mil = -torch.stack([inside[k].log() if k in present else (1 - inside[k]).log() for k in range(classes)]).sum()
    if not choices.printed:
        mil = mil / classes
    terms = {"mil": mil if members else mil * 0}

    heads = [
        (head.classification(x), head.regression(x).view(len(valid), classes, 4)) for head in model.refinement_heads
    ]
    tops = [_top(score, None, sample, members, present)]
    tops += [_top(torch.softmax(logit, 1), delta, sample, members, present) for logit, delta in heads]
    weights = (inside if choices.release else y).tolist()
    assigned = [
        reference.assign(box.tolist(), valid, {k: t[1] for k, t in top.items()}, weights, classes) for top in tops
    ]
    for r, (logit, delta) in enumerate(heads, 1):
        label, weight = assigned[r - 1]
        terms |= _refinement(r, logit, delta, box, tops[r - 1], label, weight, classes, n_p, choices)

    last = len(heads) if choices.release else len(heads) - 1
    own = torch.softmax(heads[-1][0], 1)
    terms |= _masks(model, features, sample, clipped, own, tops[last], assigned[last], n_p, choices, n_seed)
    return terms


def _top(score: Tensor, delta: Tensor | None, sample: Sample, members: list[int], present: list[int]) -> Top:
    found: Top = {}
    for k in present:
        best = max(members, key=score[:, k].tolist().__getitem__, default=0)
        corners = sample.proposals.box[best].tolist()
        if delta is not None:
            corners = _moved(corners, delta[best, k].tolist())
        found[k] = (best, corners, score[best, k].detach())
    return found


def _moved(box: list[float], delta: list[float]) -> list[float]:
    (x, y, w, h), (dx, dy, dw, dh) = _centre(box), delta
    x, y = x + dx / 10 * w, y + dy / 10 * h
    cap = float(torch.tensor(1000 / 16, dtype=torch.float64).log())
    w, h = (side * float(torch.tensor(min(v / 5, cap), dtype=torch.float64).exp()) for side, v in ((w, dw), (h, dh)))
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def _centre(box: list[float]) -> tuple[float, float, float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, max(box[2] - box[0], 1e-3), max(box[3] - box[1], 1e-3)


def _refinement(
    r: int, logit: Tensor, delta: Tensor, box: Tensor, top: Top, label: list[int], weight: list[float],
    classes: int, n_p: int, choices: Choices,
) -> dict[str, Tensor]:  # fmt: skip
    classification = regression = logit.new_zeros(())
    for p in range(len(label)):
        classification = classification - weight[p] * torch.log_softmax(logit[p], 0)[label[p]]
        if label[p] < classes:
            (sx, sy, sw, sh), (tx, ty, tw, th) = _centre(box[p].tolist()), _centre(top[label[p]][1])
            ratio = torch.tensor([tw / sw, th / sh], dtype=torch.float64).log().tolist()
            goal = [10 * (tx - sx) / sw, 10 * (ty - sy) / sh, 5 * ratio[0], 5 * ratio[1]]
            for k in range(4):
                away = (delta[p, label[p], k] - goal[k]).abs()
                smooth = away if choices.release or away >= 1 else away * away / 2
                regression = regression + weight[p] * (smooth - 0.5 if away >= 1 and not choices.release else smooth)
    if not choices.printed:
        counted = max(sum(w > 1e-12 for w in weight), 1)
        classification = classification / (counted if choices.release else n_p)
        regression = regression / n_p
    return {f"refine{r}.class": classification, f"refine{r}.box": regression}


def _masks(
    model: PDSL, features, sample: Sample, clipped: Tensor, own: Tensor, top: Top,  # type: ignore[no-untyped-def]
    assigned: tuple[list[int], list[float]], n_p: int, choices: Choices, n_seed: int,
) -> dict[str, Tensor]:  # fmt: skip
    (label, weight), classes, valid = assigned, sample.label.shape[0], sample.proposals.valid.tolist()
    boxes, n_m = sample.proposals.box.tolist(), model.config.mask.n_m
    foreground = [p for p in range(len(label)) if label[p] < classes]
    index, seeds_valid = sample.seeds.index.tolist(), sample.seeds.valid.tolist()
    seed_box = [boxes[i] for i in index]
    pool = [ok and (not choices.release or i in foreground) for i, ok in zip(index, seeds_valid, strict=True)]
    chosen = reference.choose_seeds({k: t[1] for k, t in top.items()}, seed_box, pool, n_seed)
    learning = [p for p in range(len(label)) if valid[p]] if choices.printed else foreground
    if not chosen:
        learning, foreground = [], []
    masks = sample.seeds.mask.tolist()
    first, heads, agreement = (
        own.new_zeros(()),
        [own.new_zeros(()) for _ in range(n_m)],
        [own.new_zeros(()) for _ in range(n_m + 1)],
    )
    for p in learning:
        pooled = roi_align(
            features.map, [clipped[p : p + 1]], 14, features.scale, model.config.mask.sampling, aligned=True
        )
        x = model.mask_head.trunk(pooled)[0]
        logit = [torch.einsum("c,chw->hw", model.mask_head.agnostic.weight[0], x) + model.mask_head.agnostic.bias[0]]
        (q,) = reference.propagate([boxes[p]], seed_box, chosen)
        goal = torch.tensor(_seen(clipped[p].tolist(), seed_box[q], masks[q]), dtype=torch.float64)
        first = first + _entropy(logit[0], goal)
        if p not in foreground:
            continue
        for m in range(n_m):
            row, seen = label[p] * n_m + m, x.detach() if choices.plus else x
            weights, bias = model.mask_head.specific.weight[row], model.mask_head.specific.bias[row]
            logit.append(torch.einsum("c,chw->hw", weights, seen) + bias)
            before = logit[m].detach()
            goal = before.sigmoid() if choices.printed else (before >= 0).double()
            heads[m] = heads[m] + (1 if choices.release else weight[p]) * _entropy(logit[m + 1], goal)
        said = top[label[p]][2] if choices.release else own[p, label[p]]
        for m, one in enumerate(logit):
            agreement[m] = agreement[m] + ((5 * one.sigmoid()).exp().mean().log() / 5 - said).abs()
    cells = 28 * 28
    scale = [1.0, 1.0] if choices.printed else [max(len(learning), 1) * cells, max(len(foreground), 1) * cells]
    terms = {"mask0": first / scale[0]} | {f"mask{m + 1}": value / scale[1] for m, value in enumerate(heads)}
    shared = max(len(foreground), 1) if choices.release else n_p
    start = 0 if choices.release else 1
    return terms | {f"correlation{m}": agreement[m] / shared for m in range(start, n_m + 1)}


def _entropy(logit: Tensor, goal: Tensor) -> Tensor:
    return -(goal * torch.nn.functional.logsigmoid(logit) + (1 - goal) * torch.nn.functional.logsigmoid(-logit)).sum()


def _seen(frame: list[float], source: list[float], mask: list[list[bool]]) -> list[list[float]]:
    """The mask that lies in `source`, looked at through `frame`: a cell is 1 if 2 of its 2 x 2 points are on."""
    side = len(mask)

    def cells(low: float, high: float, start: float, stop: float) -> list[int]:
        points = (low + (k + 0.5) / 56 * (high - low) for k in range(56))
        return [int((v - start) // (max(stop - start, 1e-6) / side)) for v in points]

    columns, rows = cells(frame[0], frame[2], source[0], source[2]), cells(frame[1], frame[3], source[1], source[3])
    on = [[0 <= r < side and 0 <= c < side and mask[r][c] for c in columns] for r in rows]
    return [
        [float(sum(on[2 * r + i][2 * c + j] for i in (0, 1) for j in (0, 1)) >= 2) for c in range(28)]
        for r in range(28)
    ]
