"""The paper's way of training beside ours, in one run: `python -m benchmarks.trainer --papers-way`.

A literal trainer: in every step GrabCut runs on the proposals nearest to the top boxes, in a pool of all CPUs; every
pseudo mask goes to the host, becomes a polygon and is drawn again in its proposal's frame, as Detectron2 treats masks
and as the release treats those that one mask head teaches another; one image a step; the heads and their losses one
after the other; an update after each. Ours takes the same images, weights and configuration.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import median
from typing import Any

import cv2
import numpy as np
import psutil
import torch
from torch import Tensor

from benchmarks.papers_rule import LONG_SIDE, grabcut
from benchmarks.trainer.measure import ready_model
from data.boxes import pairwise_iou
from pdsl.augment import apply, draw
from pdsl.cache import CacheReader, RawSample, open_cache
from pdsl.config.tree import Config
from pdsl.model.boxes import encode
from pdsl.model.equations import (
    activation_correlation,
    image_scores,
    multiple_instance_loss,
    proposal_activation,
    proposal_scores,
    refinement_loss,
    segmentation_losses,
)
from pdsl.model.pdsl import PDSL
from pdsl.model.pseudo_labels import assign, sample_foreground, top_proposals
from pdsl.structures import Sample
from pdsl.train.distributed import World
from pdsl.train.meters import Meters
from pdsl.train.optimizer import build_optimizer
from pdsl.train.randomness import Purpose, generator_for
from pdsl.train.step import Stepper


class PapersWay:
    """Steps of one image each, as literally as the rest of the model allows."""

    def __init__(self, model: PDSL, config: Config, pool: ProcessPoolExecutor) -> None:
        self.model, self.config, self.pool = model.train(), config, pool
        parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(parameters, lr=config.optimizer.lr, momentum=config.optimizer.momentum)
        self.cue_seconds = 0.0

    def run(self, step: int, image: RawSample) -> None:
        """One update by one image."""
        sample = image.to_sample("cpu")
        seed = self.config.seed
        transform = draw(self.config.augment, image.size, generator_for(Purpose.AUGMENT, seed, step, image.index))
        dropout = generator_for(Purpose.MODEL, seed, step, image.index)
        self.optimizer.zero_grad()
        self._loss(apply(transform, sample), dropout).backward()
        self.optimizer.step()

    def _loss(self, sample: Sample, dropout: torch.Generator) -> Tensor:
        model, settings = self.model, self.config.model.detection
        features = model.backbone.features(sample.image)
        box, valid, n = sample.proposals.box, sample.proposals.valid, sample.proposals.valid.sum().clamp(min=1)
        x = model.box_head(features, box, sample.proposals.score, dropout)
        two = model.two_stream_head
        score = proposal_scores(two.classification(x), two.detection(x), valid)
        y = image_scores(score)
        loss = multiple_instance_loss(y, sample.label) / len(y)
        previous = score
        for head in model.refinement_heads:
            pseudo, labels = self._labels(previous, sample, y)
            target = encode(box, pseudo.box[labels.nearest])
            delta = head.regression(x).view(len(box), -1, 4)  # type: ignore[operator, union-attr]
            logit = head.classification(x)  # type: ignore[operator]
            terms = refinement_loss(logit, labels.label, labels.weight / n, delta, target, settings.smooth_l1_beta)
            loss = loss + terms[0] + terms[1]
            previous = logit.detach().softmax(-1)[:, :-1]
        return loss + self._mask_loss(features, sample, previous, *self._labels(previous, sample, y), n)

    @torch.no_grad()
    def _labels(self, score: Tensor, sample: Sample, y: Tensor) -> Any:
        settings, proposals = self.config.model.detection, sample.proposals
        pseudo = top_proposals(score, proposals.box, proposals.valid, sample.label)
        bands = settings.foreground_iou, settings.background_iou
        return pseudo, assign(proposals.box, proposals.valid, pseudo, y, *bands)

    def _mask_loss(self, features: Any, sample: Sample, score: Tensor, pseudo: Any, labels: Any, n: Tensor) -> Tensor:
        settings, head = self.config.model.mask, self.model.mask_head
        picked = sample_foreground(labels, sample.proposals.valid, settings.capacity, False).without_padding()
        frame = head.frame(features, sample.proposals.box[picked.index])
        began = time.perf_counter()
        target = self._targets(sample, pseudo, frame)
        self.cue_seconds += time.perf_counter() - began
        logit = head(features, frame, labels.nearest[picked.index])
        weight = picked.taken / (picked.taken.sum().clamp(min=1) * target[0].numel())
        total = segmentation_losses(logit[:, :1], target, weight, weight)[0]
        for m in range(1, logit.shape[1]):
            own = through_polygons(logit[:, m - 1].detach() >= 0, frame, sample.image.shape[-2:])
            pair = torch.stack([torch.where(own > 0, 1.0, -1.0), logit[:, m]], 1)
            total = total + segmentation_losses(pair, target, weight, weight)[1]
            activation = proposal_activation(logit[:, m], self.config.model.correlation.tau)
            agreed = score[picked.index, labels.nearest[picked.index]]
            total = total + activation_correlation(activation, agreed, picked.taken.float(), n)
        return total

    def _targets(self, sample: Sample, pseudo: Any, frame: Tensor) -> Tensor:
        """GrabCut on the n^seed proposals nearest to each top box, now; its masks, by way of polygons."""
        box, image = sample.proposals.box.numpy(), sample.image.round().byte().permute(1, 2, 0).contiguous().numpy()
        box = box.clip(0, np.array([image.shape[1], image.shape[0]] * 2))
        seeds: set[int] = set()
        for top in pseudo.box[sample.label].numpy():
            iou = pairwise_iou(box, top[None])[:, 0]
            seeds.update(np.argsort(-iou, kind="stable")[: self.config.model.mask.n_seed].tolist())
        order = sorted(seeds)
        full = list(self.pool.map(grabcut, [image] * len(order), [box[row] for row in order]))
        nearest = pairwise_iou(frame.numpy(), box[order]).argmax(1)
        factor = LONG_SIDE / max(image.shape[:2])
        side = self.model.mask_head.side
        drawn = [
            redrawn(full[seed].astype(np.uint8), own * factor, side)
            for seed, own in zip(nearest, frame.numpy(), strict=True)
        ]
        return torch.from_numpy(np.array(drawn, np.float32))


def through_polygons(mask: Tensor, frame: Tensor, size: Sequence[int]) -> Tensor:
    """Box-frame masks (F, s, s) of boxes (F, 4): put into the image of `size`, made polygons, drawn in their boxes."""
    drawn = []
    height, width = size
    for own, box in zip(mask.numpy().astype(np.uint8), frame.numpy(), strict=True):
        x0, y0, x1, y1 = (round(float(v)) for v in box)
        full = np.zeros((height, width), np.uint8)
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        part = full[y0:y1, x0:x1]
        part[:] = cv2.resize(own, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)[: part.shape[0], : part.shape[1]]
        drawn.append(redrawn(full, box, len(own)))
    return torch.from_numpy(np.array(drawn, np.float32))


def redrawn(full: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    """A mask (h, w) uint8 as polygons, which are cropped by a box, scaled and drawn: (side, side) of 0 and 1."""
    polygons, _ = cv2.findContours(full, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    scale = side / np.maximum(box[2:] - box[:2], 1)
    canvas = np.zeros((side, side), np.uint8)
    moved = [((polygon[:, 0] + 0.5 - box[:2]) * scale - 0.5).round().astype(np.int32) for polygon in polygons]
    return cv2.fillPoly(canvas, moved, 1)  # type: ignore[no-any-return, call-overload]


def compare(config: Config, images: int) -> str:
    """Both ways on the same images, in turns; seconds of the wall and of all processors, medians, and their ratio."""
    cpu = torch.device("cpu")
    cache: CacheReader = open_cache(config.data, config.classes)
    world = World(0, 1, cpu)
    ours = ready_model(config, cache, cpu).train()
    stepper = Stepper(ours, build_optimizer(ours, config.optimizer), config, world, Meters(cpu))
    size = config.optimizer.images_per_step
    walls: dict[str, list[float]] = {"ours": [], "the paper's": []}
    used: dict[str, list[float]] = {"ours": [], "the paper's": []}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        theirs = PapersWay(ready_model(config, cache, cpu), config, pool)
        for step in range(max(2, images // size + 1)):
            batch = [cache.read((step * size + place) % len(cache)) for place in range(size)]
            ways = {"ours": partial(stepper.run, step, batch), "the paper's": partial(_each, theirs, step, batch)}
            for name, run in ways.items():
                before, began = _spent(), time.perf_counter()
                run()
                if step:  # the first one warms up
                    walls[name].append((time.perf_counter() - began) / size)
                    used[name].append((_spent() - before) / size)
    wall, seconds = ({name: median(values) for name, values in both.items()} for both in (walls, used))
    ratios = [median(t / o for t, o in zip(both["the paper's"], both["ours"], strict=True)) for both in (walls, used)]
    steps = len(walls["ours"])
    return "\n".join(
        [
            f"{config.model.backbone.name}, {config.data.max_proposals} proposals, {steps} updates of {size} images",
            *(f"{name:12s}{wall[name]:8.3f} s wall, {seconds[name]:8.3f} CPU s an image" for name in wall),
            f"{'ratio':12s}{ratios[0]:8.2f} of the wall, {ratios[1]:5.2f} of CPU seconds; "
            f"{theirs.cue_seconds / size / (steps + 1):.3f} s wall of an image are GrabCut and polygons",
        ]
    )


def _each(theirs: PapersWay, step: int, batch: Sequence[RawSample]) -> None:
    for image in batch:
        theirs.run(step, image)


def _spent() -> float:
    """CPU seconds of this process and of those it started and that still run."""
    process = psutil.Process()
    times = [p.cpu_times() for p in (process, *process.children(recursive=True))]
    return float(sum(t.user + t.system for t in times))
