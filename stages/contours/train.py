"""Train the contour network on BSDS500.

    python -m stages.contours.train BSDS_DIR OUT.npz --minutes 45

`BSDS_DIR` holds `images/{train,val}` and `groundTruth/{train,val}`. The last `--kept-out` images of `val` are never
seen; `python -m stages.contours.evaluate` measures on them. Weights are saved every 200 steps.
The learning rate follows wall time: the result depends on the machine's speed; the draws come from `--seed`.
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stages.contours.bsds import load_drawn, training_paths
from stages.contours.detector import lab_planes
from stages.contours.net import ContourNet
from stages.contours.weights import save_weights


@dataclass(frozen=True)
class Example:
    """image: (H, W, 3) uint8 RGB; target: (H, W) float32, share of annotators with a boundary within one pixel."""

    image: np.ndarray
    target: np.ndarray


def load_examples(root: Path, kept_out: int) -> list[Example]:
    """All training images, in memory (about 230 MB)."""
    examples = []
    for path in training_paths(root, kept_out):
        drawn = load_drawn(path)
        thick = [cv2.dilate(b.astype(np.uint8), np.ones((3, 3), np.uint8)) for b in drawn.boundaries]
        examples.append(Example(drawn.image, np.stack(thick).mean(0, dtype=np.float32)))
    return examples


def augment(example: Example, side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random square of `side` pixels at a random scale: (side, side, 3) float32 Lab planes, (side, side) target."""
    scale = math.exp(rng.uniform(math.log(0.5), math.log(1.8)))
    size = min(round(side / scale), *example.target.shape)
    y, x = (int(rng.integers(n - size + 1)) for n in example.target.shape)
    window = np.s_[y : y + size, x : x + size]
    method = cv2.INTER_AREA if side < size else cv2.INTER_LINEAR
    image = cv2.resize(example.image[window], (side, side), interpolation=method)
    target = cv2.resize(example.target[window], (side, side), interpolation=cv2.INTER_LINEAR)
    quarter_turns, mirror = int(rng.choice(4, p=[0.7, 0.1, 0.1, 0.1])), rng.random() < 0.5
    image, target = np.rot90(image, quarter_turns), np.rot90(target, quarter_turns)
    if mirror:
        image, target = image[:, ::-1], target[:, ::-1]
    planes = lab_planes(np.ascontiguousarray(image))
    planes = planes * rng.uniform(0.7, 1.3, 3) + rng.uniform(-0.3, 0.3, 3)
    if rng.random() < 0.3:
        planes = planes + rng.normal(0, 0.08, planes.shape)
    return planes.astype(np.float32), np.ascontiguousarray(target)


def batches(examples: list[Example], size: int, side: int, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (B, 3, side, side) inputs and (B, 1, side, side) targets."""
    while True:
        pairs = [augment(examples[i], side, rng) for i in rng.integers(len(examples), size=size)]
        planes, targets = (np.stack(part) for part in zip(*pairs, strict=True))
        yield torch.from_numpy(planes.transpose(0, 3, 1, 2).copy()), torch.from_numpy(targets[:, None])


def boundary_loss(logit: Tensor, target: Tensor) -> Tensor:
    """Weighted cross-entropy with the annotators' consensus plus 0.3 x soft Dice.

    Pixels that many marked weigh four times, pixels that few (< 0.3) marked twice as much as background.
    """
    weight = 1 + 3 * (target > 0).float() - 2 * ((target > 0) & (target < 0.3)).float()
    cross_entropy = (F.binary_cross_entropy_with_logits(logit, target, reduction="none") * weight).mean()
    p = logit.sigmoid()
    overlap = (2 * (p * target).sum((1, 2, 3)) + 1) / ((p * p).sum((1, 2, 3)) + (target * target).sum((1, 2, 3)) + 1)
    return cross_entropy + 0.3 * (1 - overlap).mean()


def learning_rate(step: int, progress: float, peak: float) -> float:
    """Linear warm-up over 50 steps, then half a cosine over the whole time."""
    return peak * min(1.0, step / 50) * (0.5 * (1 + math.cos(math.pi * progress)) + 0.005)


def train(examples: list[Example], out: Path, *, minutes: float, batch: int, side: int, peak: float, seed: int) -> None:
    """Train for `minutes` of wall time and write the weights to `out`, every 200 steps and at the end."""
    torch.manual_seed(seed)
    net = ContourNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(net.parameters(), peak, weight_decay=1e-4)
    start, recent = time.monotonic(), []
    for step, (x, target) in enumerate(batches(examples, batch, side, np.random.default_rng(seed)), 1):
        progress = (time.monotonic() - start) / (60 * minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, progress, peak)
        with torch.autocast("cpu", torch.bfloat16):
            logit, coarse = net(x.contiguous(memory_format=torch.channels_last), auxiliary=True)
        loss = boundary_loss(logit.float(), target) + 0.4 * boundary_loss(coarse.float(), target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        recent.append(loss.item())
        if step % 200 == 0:
            save_weights(net, out)
            print(f"step {step}  {60 * minutes * progress:.0f} s  loss {np.mean(recent):.4f}", flush=True)
            recent.clear()
    save_weights(net, out)
    print(f"{step - 1} steps, weights in {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="BSDS500 folder")
    parser.add_argument("out", type=Path, help="weights to write (.npz)")
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--kept-out", type=int, default=50, help="images at the end of val that are not trained on")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=224, help="pixels of a training crop")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    examples = load_examples(args.data, args.kept_out)
    print(f"{len(examples)} images")
    train(
        examples,
        args.out,
        minutes=args.minutes,
        batch=args.batch,
        side=args.side,
        peak=args.learning_rate,
        seed=args.seed,
    )


if __name__ == "__main__":
    main()
