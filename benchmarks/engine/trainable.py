"""A small training set without the real stages, for tests and benchmarks: scenes, boxes around a grid, round masks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from data import masks
from data.catalog import load_images
from data.scenes import write_scenes
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from pipeline.spec import ArraySpec, ImageFailure, Stage, StageInput
from store.create import create_or_open

CAPACITY = 24
SEEDS = 6

CONFIG = """
seed: 3
threads: 1
device: cpu
steps: 8
checkpoint_every: 4
log_every: 2
data: {loaders: 0}
augment: {scales: [48, 64], max_side: 160}
optimizer: {lr: 0.02, images_per_step: 4}
model:
  backbone: {name: tiny, weights: scratch}
  box_head: {hidden: [32, 32]}
  detection: {n_r: 2}
  mask: {n_m: 1, convs: 1, channels: 8, sampling: 1, capacity: 8}
inference: {scale: 64, tta_scales: [64], max_side: 160}
"""


@dataclass(frozen=True)
class Parameters:
    """Parameters of the stand-in stages."""

    jitter: float = 3.0


def proposals(given: StageInput, capacity: int = CAPACITY) -> Mapping[str, np.ndarray]:
    """As many boxes as the image's name says at random places; none where the id ends in "9"."""
    if given.record.id.endswith("9"):
        raise ImageFailure("a name that ends in 9")
    rng = np.random.default_rng(sum(given.record.id.encode()))
    height, width = given.record.size
    n = capacity - int(rng.integers(0, 6))
    corner = rng.random((n, 2)) * [width * 0.6, height * 0.6]
    box = np.zeros((capacity, 4), np.float32)
    box[:n] = np.concatenate([corner, corner + 8 + rng.random((n, 2)) * [width * 0.3, height * 0.3]], 1)
    score = np.zeros(capacity, np.float32)
    score[:n] = np.sort(rng.random(n))[::-1]
    return {"proposals/box": box, "proposals/score": score, "proposals/count": np.int32(n)}


def graph(given: StageInput, capacity: int = CAPACITY) -> Mapping[str, np.ndarray]:
    """Nothing that the trainer reads: each proposal is its own neighbour."""
    return {
        "iou_graph/neighbor": np.arange(capacity, dtype=np.uint16)[:, None],
        "iou_graph/iou": np.ones((capacity, 1), np.float16),
        "iou_graph/degree": np.ones(capacity, np.uint16),
    }


def seeds(given: StageInput, capacity: int = CAPACITY) -> Mapping[str, np.ndarray]:
    """Round masks for every fourth proposal."""
    grid = (np.indices((masks.MASK_SIDE, masks.MASK_SIDE)) + 0.5) / masks.MASK_SIDE - 0.5
    frame = masks.pack((grid**2).sum(0) < 0.2)
    return {
        "grabcut/seed": np.arange(0, capacity, 4, dtype=np.uint16),
        "grabcut/mask": np.repeat(frame[None], capacity // 4, 0),
        "grabcut/count": np.int32((int(given.arrays["proposals/count"]) + 3) // 4),
    }


def stages(parameters: Parameters = Parameters(), capacity: int = CAPACITY) -> list[Stage]:
    """The three stages under their real names, with the real schema as far as it is read; capacity: 4 times as many
    proposals as seeds."""
    p, q = capacity, capacity // 4
    compute = (partial(function, capacity=capacity) for function in (proposals, graph, seeds))
    find, join, cut = compute
    side = masks.MASK_SIDE
    box, count = ArraySpec("proposals/box", (p, 4), "float32"), ArraySpec("proposals/count", (), "int32")
    score = ArraySpec("proposals/score", (p,), "float32")
    degree = ArraySpec("iou_graph/degree", (p,), "uint16")
    neighbor, iou = ArraySpec("iou_graph/neighbor", (p, 1), "uint16"), ArraySpec("iou_graph/iou", (p, 1), "float16")
    seed, mask = ArraySpec("grabcut/seed", (q,), "uint16"), ArraySpec("grabcut/mask", (q, side, side // 8), "uint8")
    n_seeds = ArraySpec("grabcut/count", (), "int32")
    reads = ("proposals/box", "proposals/count")
    return [
        Stage("proposals", 1, parameters, (box, score, count), find, needs_image=False),
        Stage("iou-graph", 1, Parameters(), (neighbor, iou, degree), join, reads, needs_image=False),
        Stage("grabcut", 1, Parameters(), (seed, mask, n_seeds), cut, (*reads, "iou_graph/degree"), needs_image=False),
    ]


def make_store(folder: Path, *, train: int = 10, seed: int = 0, side: int = 64, capacity: int = CAPACITY) -> str:
    """Scenes in `folder/data` and their store; returns its URL."""
    data = folder / "data"
    write_scenes(data, train=train, val=1, side=side, seed=seed)
    images = load_images(f"voc:{data}", "train")
    store = create_or_open(str(folder / "train.zarr"), images, shard=4)
    for stage in stages(capacity=capacity):
        run_stage(store, images, stage, SerialExecutor())
    return str(folder / "train.zarr")
