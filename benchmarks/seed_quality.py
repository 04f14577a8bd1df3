"""Is `grabcut/quality` right? Seeds by their quality and by the IoU that they have with the annotated object.

A seed counts if its box overlaps an object by half or more; the object of highest IoU is its object. Proposals, graph
and seeds are those that a store would hold. Printed are bins of equal numbers, sizes, and the two numbers of
`stages/grabcut/quality.py` as these images would have them; with --figure a picture is written.

    python -m benchmarks.seed_quality coco:DIR train2017 --images 30 [--first 7] [--figure FILE.svg]
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.arguments import on_images
from benchmarks.cues.breakdown import SIZES
from benchmarks.cues.judging import judge_seeds
from data.catalog import load_images
from data.decode import decode_image
from data.masks import unpack
from data.truth_reader import load_truth
from stages.grabcut.quality import OFFSET, SLOPE
from stages.registry import compute_image

BINS = 8


class Judged(NamedTuple):
    """Seeds: quality (n,), IoU of mask and object (n,), area of the object's box (n,), index of the image (n,)."""

    quality: np.ndarray
    iou: np.ndarray
    area: np.ndarray
    image: np.ndarray


def judge_images(spec: str, split: str, rows: np.ndarray, method: str) -> Judged:
    """The seeds of images `rows` of a split, made from proposals by `method`."""
    listed, truths = load_images(spec, split), load_truth(spec, split)
    columns: list[tuple[float, float, float, int]] = []
    for row in rows:
        record = listed.records[row]
        pixels = decode_image(record.path, exif=listed.exif)
        arrays: dict[str, np.ndarray] = {}
        for stage in ("proposals", "iou-graph", "grabcut"):
            arrays |= compute_image(stage, pixels, {"method": method} if stage == "proposals" else {}, arrays)
        count = int(arrays["grabcut/count"])
        box = arrays["proposals/box"][arrays["grabcut/seed"][:count]]
        quality = arrays["grabcut/quality"].astype(np.float64)
        for seed, iou, size in judge_seeds(box, unpack(arrays["grabcut/mask"][:count]), truths[row]):
            columns.append((quality[seed], iou, size, int(row)))
    return Judged(*np.array(columns).T)


def calibration(judged: Judged) -> tuple[float, float]:
    """OFFSET and SLOPE for which the cross-entropy of quality and IoU is least; every image weighs the same."""
    raw = (_log_odds(judged.quality) - OFFSET) / SLOPE
    _, image, count = np.unique(judged.image, return_inverse=True, return_counts=True)
    weight = 1 / count[image]
    x = np.stack([np.ones_like(raw), raw], 1)
    coefficients = np.array([0.0, 1.0])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ coefficients))
        hessian = (x.T * (weight * p * (1 - p))) @ x
        coefficients -= np.linalg.solve(hessian, x.T @ (weight * (p - judged.iou)))
    return float(coefficients[0]), float(coefficients[1])


def _log_odds(share: np.ndarray) -> np.ndarray:
    clipped = np.clip(share, 1e-4, 1 - 1e-4)
    return np.log(clipped / (1 - clipped))


def report(judged: Judged) -> None:
    order = np.argsort(judged.quality, kind="stable")
    print("quality            mean   IoU with the object: mean, 10 % and 90 % of the seeds      seeds")
    for part in np.array_split(order, BINS):
        q, iou = judged.quality[part], judged.iou[part]
        low, high = np.quantile(iou, [0.1, 0.9])
        print(
            f"{q.min():.3f} to {q.max():.3f}   {q.mean():.3f}   {iou.mean():.3f}  {low:.3f}  {high:.3f}   {len(part)}"
        )
    for name, (low, high) in SIZES.items():
        part = (judged.area >= low) & (judged.area < high)
        if part.any():
            q, iou = judged.quality[part].mean(), judged.iou[part].mean()
            print(f"objects {name}: quality {q:.3f}, IoU {iou:.3f}, {part.sum()} seeds")
    print(f"correlation {np.corrcoef(judged.quality, judged.iou)[0, 1]:.3f}")
    offset, slope = calibration(judged)
    print(f"these images' own OFFSET = {offset:.3f}, SLOPE = {slope:.3f} (in use: {OFFSET}, {SLOPE})")


def draw(judged: Judged, path: Path) -> None:
    """Mean IoU over quality, with the band that holds 80 % of the seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    parts = np.array_split(np.argsort(judged.quality, kind="stable"), BINS)
    x = [judged.quality[part].mean() for part in parts]
    low, high = np.array([np.quantile(judged.iou[part], [0.1, 0.9]) for part in parts]).T
    axes.fill_between(x, low, high, alpha=0.2, linewidth=0, label="80 % of the seeds")
    axes.plot(x, [judged.iou[part].mean() for part in parts], "o-", label="mean")
    axes.plot([0, 1], [0, 1], ":", color="grey")
    axes.set(xlabel="grabcut/quality", ylabel="IoU with the object", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    parser = on_images(__doc__, images=30)
    parser.add_argument("--first", type=int, default=0, help="images are spread evenly from this one on")
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    total = len(load_images(args.spec, args.split))
    rows = np.linspace(args.first, total - 1, args.images).astype(int)
    judged = judge_images(args.spec, args.split, rows, args.proposals)
    print(f"{len(judged.iou)} seeds on objects in {len(np.unique(judged.image))} images")
    report(judged)
    if args.figure is not None:
        draw(judged, args.figure)


if __name__ == "__main__":
    main()
