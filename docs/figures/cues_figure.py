"""The best and the worst of seeds and proposals: python docs/figures/cues_figure.py COCO val2017 OUT.jpg

Of the images that may be shown (licence 4 of COCO's annotations: CC BY 2.0), those with the object of at least 32 x 32
pixels that seeds fit best, in the second row worst; in the third and fourth likewise for proposals, all by the stages'
defaults. No image comes twice in a row. A seed is judged by its mask, the one whose box fits the object best; a
proposal by its box.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from benchmarks.cues.judging import judge_objects, nearest_seeds
from benchmarks.cues.sources import DEFAULT, open_source
from data import rle
from data.boxes import pairwise_iou
from data.catalog import load_images
from data.decode import decode_record
from data.masks import paste, unpack
from data.truth import ImageTruth
from data.truth_reader import load_truth
from pdsl.report.overlay import Shape, draw
from pdsl.report.palette import ACCENT, SECOND
from pdsl.report.panels import contact_sheet
from store.contents import PROPOSAL_BOX, PROPOSAL_COUNT, SEED_COUNT, SEED_INDEX, SEED_MASK

SIDE = 320
COLUMNS = 4
ATTRIBUTION = 4
LEAST_AREA = 32 * 32


class Shown(NamedTuple):
    """An object and what was found of it. fit: IoU; box: (4,); mask: of the image, None for a proposal."""

    fit: float
    row: int
    place: int
    box: np.ndarray
    mask: np.ndarray | None


def shown_objects(arrays: Mapping[str, np.ndarray], truth: ImageTruth, row: int) -> tuple[list[Shown], list[Shown]]:
    """(by seed, by proposal) of the objects of image `row`, from the arrays of its three stages."""
    proposals, count = arrays[PROPOSAL_BOX][: int(arrays[PROPOSAL_COUNT])], int(arrays[SEED_COUNT])
    seed_box = proposals[arrays[SEED_INDEX][:count]]
    by_seed, by_proposal = [], []
    for score in judge_objects(arrays, truth, row):
        if score.area < LEAST_AREA:
            continue
        own = truth.objects[score.place].box
        best = proposals[int(pairwise_iou(own[None], proposals)[0].argmax())]
        by_proposal.append(Shown(score.box[0], row, score.place, best, None))
        nearest = int(nearest_seeds(own, seed_box)[0])
        if np.isfinite(score.seed):
            mask = paste(unpack(arrays[SEED_MASK][nearest]), seed_box[nearest], truth.size)
            by_seed.append(Shown(score.seed, row, score.place, seed_box[nearest], mask))
    return by_seed, by_proposal


def first_of_each_image(found: list[Shown]) -> list[Shown]:
    """The first COLUMNS, no two of one image."""
    rows: dict[int, Shown] = {}
    for shown in found:
        rows.setdefault(shown.row, shown)
    return list(rows.values())[:COLUMNS]


def picture(pixels: np.ndarray, truth: ImageTruth, shown: Shown) -> Image.Image:
    """The object's box and what was found, around them a margin of a third."""
    own = truth.objects[shown.place].box
    found = None if shown.mask is None else rle.encode(shown.mask)
    image = draw(pixels, [Shape(SECOND, shown.box, found), Shape(ACCENT, own)])
    low, high = np.minimum(own[:2], shown.box[:2]), np.maximum(own[2:], shown.box[2:])
    scale = image.width / pixels.shape[1]
    margin = np.maximum(high - low, 60).max() / 3
    x0, y0 = (np.maximum(low - margin, 0) * scale).astype(int).tolist()
    x1, y1 = (np.minimum(high + margin, [pixels.shape[1], pixels.shape[0]]) * scale).astype(int).tolist()
    crop = image.crop((x0, y0, x1, y1))
    return ImageOps.contain(crop, (SIDE, SIDE), Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("coco", type=Path)
    parser.add_argument("split")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    spec = f"coco:{args.coco}"
    images, truths = load_images(spec, args.split), load_truth(spec, args.split)
    listed = json.loads((args.coco / "annotations" / f"instances_{args.split}.json").read_text())["images"]
    free = {str(image["id"]) for image in listed if image["license"] == ATTRIBUTION}
    rows = [row for row, record in enumerate(images.records) if record.id in free]
    pixels = {row: decode_record(images.records[row], exif=images.exif) for row in rows}
    source = open_source(DEFAULT, truths, args.out.parent)
    pairs = [shown_objects(source.rows(images.records[row], pixels[row])[0], truths[row], row) for row in rows]
    tiles = []
    for kind, found in zip(("seed", "proposal"), map(sum, zip(*pairs, strict=True), ([], [])), strict=True):
        order = sorted(found, key=lambda shown: (-shown.fit, shown.row, shown.place))
        for ordered in (order, order[::-1]):
            for shown in first_of_each_image(ordered):
                record, truth = images.records[shown.row], truths[shown.row]
                name = images.class_names[truth.objects[shown.place].class_id]
                tiles.append((f"{record.id}: {name}, {kind} {shown.fit:.2f}", picture(pixels[shown.row], truth, shown)))
    contact_sheet(tiles, COLUMNS, SIDE).save(args.out, quality=85, optimize=True)


if __name__ == "__main__":
    main()
