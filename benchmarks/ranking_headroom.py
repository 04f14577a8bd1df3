"""Where MCG's recall is lost: what regions, candidates, pool and selection could reach if each later step were perfect.

Per object the best box IoU among: boxes of the superpixels that lie in its mask by half or more (what perfect grouping
would give); all candidates (perfect merging of equals and ranking); those that take part in the selection (perfect
ranking; the number wanted makes no difference, as an image has fewer objects); the first 2,000 and 500 that are chosen.

    python -m benchmarks.ranking_headroom coco:DIR train2017 --images 43 [--first 1] [--set contours=gradient]
"""

from collections.abc import Iterator

import cv2
import numpy as np

from benchmarks.arguments import on_images
from benchmarks.cues.breakdown import SIZES, recalls
from benchmarks.cues.judging import objects_of
from data import rle
from data.boxes import pairwise_iou
from data.catalog import load_images
from data.decode import decode_record
from data.masks import tight_box
from data.parameters import nest, parse_assignment, replace
from data.truth import TruthObject
from data.truth_reader import load_truth
from stages.contours import detector_by_name
from stages.proposals.mcg.candidates import Grouping, candidate_boxes, propose_candidates
from stages.proposals.mcg.method import POOL
from stages.proposals.mcg.params import McgParams
from stages.proposals.mcg.ranking import expected_objects
from stages.proposals.mcg.selection import merge_duplicates, select

STEPS = ("superpixels", "candidates", "pool", "first 2,000", "first 500")


def best_overlaps(image: np.ndarray, objects: list[TruthObject], params: McgParams) -> Iterator[tuple[float, ...]]:
    """IoU of each object by STEPS."""
    groupings = propose_candidates(image, params, detector_by_name(params.contours))
    box = candidate_boxes(groupings)
    weight = expected_objects(groupings, image)
    kept, _ = merge_duplicates(box, weight, POOL[params.mode])
    chosen, _ = select(box, weight, 2000, POOL[params.mode])
    for item in objects:
        full = rle.decode(item.mask)
        overlap = pairwise_iou(item.box[None], box)[0]
        best = (overlap, overlap[kept], overlap[chosen], overlap[chosen[:500]])
        drawn = max(superpixel_iou(grouping, full, item.box) for grouping in groupings)
        yield (drawn, *(float(values.max()) for values in best))


def superpixel_iou(grouping: Grouping, full: np.ndarray, box: np.ndarray) -> float:
    """Box IoU of an object with the superpixels that lie in its mask (H, W) bool by half or more."""
    labels = grouping.tree.leaf_of[grouping.superpixels.labels]
    size = (labels.shape[1], labels.shape[0])
    small = cv2.resize(full.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    inside = np.bincount(labels.ravel(), small.ravel(), grouping.tree.leaves) / np.bincount(
        labels.ravel(), minlength=grouping.tree.leaves
    )
    found = tight_box((inside >= 0.5)[labels]).astype(np.float64) * np.tile(grouping.superpixels.scale, 2)
    return float(pairwise_iou(found[None], box[None])[0, 0])


def main() -> None:
    parser = on_images(__doc__, images=43, proposals=False)
    parser.add_argument("--first", type=int, default=0, help="images are spread evenly from this one on")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="parameters of `mcg`")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    params = replace(McgParams(), nest(parse_assignment(text) for text in args.set), "proposals")
    listed, truths = load_images(args.spec, args.split), load_truth(args.spec, args.split)
    found, areas = [], []
    for row in np.linspace(args.first, len(listed) - 1, args.images).astype(int):
        objects = [item for _, item in objects_of(truths[row])]
        pixels = decode_record(listed.records[row], exif=listed.exif)
        found += list(best_overlaps(pixels, objects, params))
        areas += [item.area for item in objects]
    best, area = np.array(found), np.array(areas, np.float64)
    print(f"{len(best)} objects in {args.images} images, recall of boxes")
    print(
        "| Best of | all |",
        *(f"{name} ({((area >= low) & (area < high)).sum()}) |" for name, (low, high) in SIZES.items()),
    )
    print("|---" * (2 + len(SIZES)) + "|")
    for step, column in zip(STEPS, best.T, strict=True):
        sizes = [recalls(column[(area >= low) & (area < high)]) for low, high in SIZES.values()]
        print("| " + " | ".join([step, recalls(column), *sizes]) + " |")


if __name__ == "__main__":
    main()
