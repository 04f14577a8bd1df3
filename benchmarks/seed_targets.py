"""Training targets that follow from the choice of seeds: K of the graph, `cover` at several t, `all`, the paper's rule.

Printed is, for objects of at least 32 x 32, the mean IoU of the targets (`benchmarks/cues/targets.py`) with the true
mask in the proposal's frame.

    python -m benchmarks.seed_targets coco:DIR train2017 --images 40
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.arguments import on_images
from benchmarks.cues.judging import objects_of
from benchmarks.cues.targets import Case, choose_case, target_iou
from data import rle
from data.boxes import area
from data.catalog import load_images
from data.decode import decode_image
from data.masks import unpack
from data.truth_reader import load_truth
from pipeline.spec import StageInput
from stages.grabcut.cover import cover_share, greedy_cover
from stages.grabcut.parameters import GrabcutParams
from stages.grabcut.stage import seed_masks
from stages.iou_graph.stage import build_graph
from stages.registry import build_stage


@dataclass
class Image:
    """Proposals (n, 4), a mask for each (n, 56, 56), and the objects judged."""

    box: np.ndarray
    mask: np.ndarray
    cases: list[Case]


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
        large = [item for _, item in objects_of(truths[row]) if area(item.box) >= 32 * 32]
        cases = [choose_case(rle.decode(item.mask), item.box, box, rng) for item in large]
        if known := [case for case in cases if case is not None]:
            prepared.append(Image(box, unpack(seed_masks(pixels, box, params).packed), known))
    return prepared


def mean_target_iou(images: list[Image], seeds_of: Mapping[int, np.ndarray], n_seed: int | None) -> float:
    """Mean over objects of `target_iou`. seeds_of: row of the image -> proposals with a mask."""
    chosen = [(image, image.box[seeds_of[row]], image.mask[seeds_of[row]]) for row, image in enumerate(images)]
    return float(np.mean([target_iou(case, *seeds, n_seed) for image, *seeds in chosen for case in image.cases]))


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
