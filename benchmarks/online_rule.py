"""Mask targets from the cache beside the paper's online rule, on real images: agreement by how many seeds are cached.

    python -m benchmarks.online_rule coco:DIR train2017 --images 24

A detector is imitated: the top box of each present class is one of the proposals with IoU >= 0.5 to an object of it,
drawn at random. Online: GrabCut in the authors' setting on the n^seed proposals nearest to each top box, full-image
masks cropped by each foreground proposal (benchmarks/papers_rule.py). Cached: the trainer's own functions on box-frame
masks of the same GrabCut, of all proposals and of covers. Printed is the mean IoU of the 28 x 28 targets, over images
and foreground proposals, and the share of cells that agree.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks.arguments import on_images
from benchmarks.papers_rule import Case, cached_targets, mean_iou, online_targets
from data.boxes import area, pairwise_iou
from data.catalog import load_images
from data.decode import decode_record
from data.truth import ImageTruth
from data.truth_reader import load_truth
from pipeline.spec import StageInput
from stages.grabcut.cover import greedy_cover
from stages.iou_graph.stage import build_graph
from stages.registry import build_stage

FOREGROUND = 48
"""Foreground proposals judged an image, drawn at random."""
NEIGHBOURS = 64
COVERS = ((0.5, None), (0.7, None), (0.8, None), (0.9, None), (0.8, 1024), (0.8, 512))
"""(t, Q) of the covers; None: no limit."""


def choose_top(truth: ImageTruth, box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(c, 4): for each present class a proposal with IoU >= 0.5 to one of its objects of at least 32 x 32."""
    tops = []
    for class_id in sorted({item.class_id for item in truth.objects}):
        objects = [i for i in truth.objects if i.class_id == class_id and not i.crowd and area(i.box) >= 32 * 32]
        good = [np.flatnonzero(pairwise_iou(box, i.box[None])[:, 0] >= 0.5) for i in objects]
        good = [rows for rows in good if len(rows)]
        if good:
            tops.append(box[rng.choice(good[rng.integers(len(good))])])
    return np.array(tops, np.float32).reshape(-1, 4)


def cases(spec: str, split: str, images: int, method: str) -> Iterator[Case]:
    """Images evenly spread over the split, those without a top box left out."""
    listed, truths = load_images(spec, split), load_truth(spec, split)
    stage = build_stage("proposals", {"method": method})
    rng = np.random.default_rng(0)
    for row in np.linspace(0, len(listed) - 1, images).astype(int):
        record = listed.records[row]
        pixels = decode_record(record, exif=listed.exif)
        rows = stage.compute(StageInput(record, pixels, {}))
        box = rows["proposals/box"][: int(rows["proposals/count"])]
        top = choose_top(truths[row], box, rng)
        if len(top):
            foreground = np.flatnonzero(pairwise_iou(box, top).max(1) >= 0.5)
            yield Case(pixels, box, top, rng.permutation(foreground)[:FOREGROUND])


def seed_choices(box: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> proposals with a cached mask."""
    neighbor = build_graph(box, NEIGHBOURS).neighbor
    choices = {"all": np.arange(len(box))}
    for threshold, limit in COVERS:
        name = f"cover t = {threshold}" + (f", Q = {limit}" if limit else "")
        choices[name] = greedy_cover(box, neighbor, threshold, limit or len(box))
    return choices


def main() -> None:
    parser = on_images(__doc__, images=24)
    parser.add_argument("--n-seed", type=int, nargs="*", default=(1, 10))
    args = parser.parse_args()
    found: dict[str, dict[int, list[tuple[float, float]]]] = {}
    counts: dict[str, list[int]] = {}
    number = targets = 0
    for number, case in enumerate(cases(args.spec, args.split, args.images, args.proposals), 1):
        targets += len(case.foreground)
        online = {n: online_targets(case, n) for n in args.n_seed}
        for name, seeds in seed_choices(case.box).items():
            counts.setdefault(name, []).append(len(seeds))
            for n in args.n_seed:
                cached = cached_targets(case, seeds, n)
                pair = mean_iou(online[n], cached), float((online[n] == cached).mean())
                found.setdefault(name, {}).setdefault(n, []).append(pair)
        print(f"{number} images", end="\r", flush=True)
    print(f"{number} images, {targets} targets; mean IoU with the online rule's target, share of equal cells")
    print("| Cached masks | " + " | ".join(f"n^seed = {n}" for n in args.n_seed) + " | seeds an image |")
    print("|---" * (len(args.n_seed) + 2) + "|")
    for name, by_n in found.items():
        cells = ["{:.3f}, {:.3f}".format(*np.mean(by_n[n], axis=0)) for n in args.n_seed]
        print(f"| {name} | {' | '.join(cells)} | {np.mean(counts[name]):.0f} |")


if __name__ == "__main__":
    main()
