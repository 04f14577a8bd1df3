"""Training targets that follow from the choice of seeds: K of the graph, `cover` at several t, `all`, the paper's rule.

For every object of the ground truth a detector's choice is imitated: its top box is one of the proposals with IoU of
at least 0.5 to the object, drawn at random. Foreground are the proposals with IoU >= 0.5 to the top box; each takes the
mask of the nearest of the n^seed seeds nearest to the top box (section 3.3), sampled by the trainer's own function at
28 x 28. Printed is the mean IoU of these targets with the true mask in the proposal's frame.

    python -m benchmarks.seed_targets coco:DIR train2017 --images 40
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from pycocotools import mask as coco_mask

from benchmarks.arguments import on_images
from data.boxes import area, pairwise_iou
from data.catalog import load_images
from data.decode import decode_image
from data.masks import to_box_frame, unpack
from data.truth import ImageTruth
from data.truth_reader import load_truth
from pdsl.model.pseudo_labels import mask_targets, propagate
from pipeline.spec import StageInput
from stages.grabcut.cover import cover_share, greedy_cover
from stages.grabcut.parameters import GrabcutParams
from stages.grabcut.stage import seed_masks
from stages.iou_graph.stage import build_graph
from stages.registry import build_stage

SIDE = 28
FOREGROUND = 24
"""Foreground proposals judged per object, drawn at random."""


@dataclass
class Image:
    """Proposals (n, 4), a mask for each (n, 56, 56), and the objects judged: (top box, foreground, truth in frame)."""

    box: np.ndarray
    mask: np.ndarray
    cases: list[tuple[np.ndarray, np.ndarray, np.ndarray]]


def choose_cases(
    truth: ImageTruth, box: np.ndarray, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Top box (4,), foreground rows (f,), true targets (f, 28, 28) for each object of at least 32 x 32."""
    cases = []
    for item in truth.objects:
        if item.crowd or item.mask is None or area(item.box) < 32 * 32:
            continue
        good = np.flatnonzero(pairwise_iou(box, item.box[None])[:, 0] >= 0.5)
        if not len(good):
            continue
        top = box[rng.choice(good)]
        foreground = np.flatnonzero(pairwise_iou(box, top[None])[:, 0] >= 0.5)
        foreground = rng.permutation(foreground)[:FOREGROUND]
        full = coco_mask.decode(item.mask).astype(bool)
        cases.append((top, foreground, np.array([to_box_frame(full, box[i], SIDE) for i in foreground])))
    return cases


def prepare(images: int, spec: str, split: str, settings: Mapping[str, str], method: str) -> list[Image]:
    """Proposals, masks of all of them and cases of `images` images, evenly spread over the split."""
    listed, truths = load_images(spec, split), load_truth(spec, split)
    stage = build_stage("proposals", settings)
    params = GrabcutParams(method=method)  # type: ignore[arg-type]
    prepared = []
    rng = np.random.default_rng(0)
    for row in np.linspace(0, len(listed) - 1, images).astype(int):
        record = listed.records[row]
        pixels = decode_image(record.path, exif=listed.exif)
        rows = stage.compute(StageInput(record, pixels, {}))
        box = rows["proposals/box"][: int(rows["proposals/count"])]
        cases = choose_cases(truths[row], box, rng)
        if cases:
            prepared.append(Image(box, unpack(seed_masks(pixels, box, params).packed), cases))
    return prepared


def mean_target_iou(images: list[Image], seeds_of: Mapping[int, np.ndarray], n_seed: int | None) -> float:
    """Mean over objects of the mean IoU of targets. seeds_of: row of the image -> proposals with a mask.

    n_seed None: every foreground proposal takes the nearest of all seeds instead.
    """
    means = []
    for row, image in enumerate(images):
        seeds = seeds_of[row]
        seed_box, seed_mask = torch.from_numpy(image.box[seeds]), torch.from_numpy(image.mask[seeds])
        for top, foreground, truth in image.cases:
            order = np.argsort(-pairwise_iou(image.box[seeds], top[None])[:, 0], kind="stable")[:n_seed]
            chosen = torch.zeros(len(seeds), dtype=torch.bool)
            chosen[torch.from_numpy(order)] = True
            frame = torch.from_numpy(image.box[foreground])
            seed, _ = propagate(frame, seed_box, chosen)
            target = mask_targets(frame, seed_box, seed_mask, seed, SIDE).numpy() > 0
            union = (target | truth).sum((1, 2))
            means.append(float(((target & truth).sum((1, 2)) / np.maximum(union, 1)).mean()))
    return float(np.mean(means))


def report(name: str, images: list[Image], seeds: list[np.ndarray], threshold: float | None = None) -> None:
    by_row = dict(enumerate(seeds))
    values = "  ".join(f"{mean_target_iou(images, by_row, n):.4f}" for n in (1, 10, 50, None))
    count = np.array([len(s) for s in seeds])
    tail = f"  seeds {count.mean():6.0f} (90 %: {np.percentile(count, 90):.0f}, most {count.max()})"
    if threshold is not None:
        share = np.mean([cover_share(i.box, s, threshold) for i, s in zip(images, seeds, strict=True)])
        tail += f"  covered {share:.4f}"
    print(f"{name:34s} {values}{tail}", flush=True)


def main() -> None:
    parser = on_images(__doc__, images=40)
    parser.add_argument("--method", default="colour-cut", help="method of the masks")
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = prepare(args.images, args.spec, args.split, {"method": args.proposals}, args.method)
    print(
        f"{len(images)} images, {sum(len(i.cases) for i in images)} objects; "
        "mean target IoU for n^seed = 1, 10, 50, all"
    )
    everything = [np.arange(len(i.box)) for i in images]
    report("all (the paper's rule at n^seed)", images, everything)
    graphs = {k: [build_graph(i.box, k).neighbor for i in images] for k in (16, 64, 256)}
    for threshold, k in ((0.5, 64), (0.7, 64), (0.8, 16), (0.8, 64), (0.8, 256), (0.9, 64)):
        pairs = zip(images, graphs[k], strict=True)
        seeds = [greedy_cover(i.box, neighbor, threshold, len(i.box)) for i, neighbor in pairs]
        report(f"cover t = {threshold}, K = {k}", images, seeds, threshold)
    for threshold, capacity in ((0.7, 512), (0.8, 512), (0.7, 1024), (0.8, 1024), (0.9, 1024)):
        pairs = zip(images, graphs[64], strict=True)
        seeds = [greedy_cover(i.box, neighbor, threshold, capacity) for i, neighbor in pairs]
        report(f"cover t = {threshold}, K = 64, Q = {capacity}", images, seeds, threshold)


if __name__ == "__main__":
    main()
