"""What proposals and seed masks are worth: ours, those of any segmenter, and the annotations, in the same tables.

    python -m benchmarks.cues coco:DIR val2017 [SOURCE …] [--images N] [--figure FILE.svg]

A SOURCE is `default`, settings as of `precompute --set` joined by commas (`proposals.mode=fast`), a path as of
`--proposals-from`, perhaps with settings behind it (`masks.json,grabcut.method=colour-cut`), or `truth`: the annotated
masks, written in a segmenter's layout and read back, as the upper bound. Masks of a file become the seeds.

The stages' own functions run image by image in this process, on one thread; no store. Per object: IoU of the best box
among the first proposals; best mask of the 20 seeds whose boxes fit best; mask of the one that fits best; mean IoU of
the 28 x 28 training targets (n^seed = 10) with its true mask. The last two know only objects that a proposal overlaps
by half or more: their share is the column `of`. Sizes are COCO's, by annotated area.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.arguments import on_images
from benchmarks.cues.breakdown import boxes_table, distributions_table, draw, groups_table
from benchmarks.cues.judging import ObjectScore, judge_objects
from benchmarks.cues.sources import DEFAULT, TRUTH, Source, open_source
from data.catalog import load_images
from data.decode import decode_record
from data.errors import InputError
from data.records import ImageList
from data.truth import ImageTruth
from data.truth_reader import load_truth
from store.contents import PROPOSAL_COUNT, SEED_COUNT


def judge_source(
    source: Source, listed: ImageList, truths: Sequence[ImageTruth], rows: Sequence[int]
) -> list[ObjectScore]:
    """All objects of the images `rows`; prints how many proposals and seeds there were and what they cost."""
    scores, counts, seconds = [], [], []
    for row in rows:
        record = listed.records[row]
        arrays, spent = source.rows(record, decode_record(record, exif=listed.exif))
        scores += judge_objects(arrays, truths[row], row)
        counts.append((int(arrays[PROPOSAL_COUNT]), int(arrays[SEED_COUNT])))
        seconds.append(spent)
    without = sum(not proposals for proposals, _ in counts)
    cost = ", ".join(f"{stage} {np.median([spent[stage] for spent in seconds]):.3f}" for stage in seconds[0])
    proposals, seeds = np.mean(counts, 0)
    print(f"{source.name}: {len(scores)} objects, {proposals:.0f} proposals and {seeds:.0f} seeds an image")
    print(f"  CPU s an image (median): {cost}; images without proposals: {without}", flush=True)
    return scores


def main() -> None:
    parser = on_images(__doc__, images=None, proposals=False)
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=f"{DEFAULT}, {TRUTH}, PATH or settings")
    parser.add_argument("--first", type=int, default=0, help="images are spread evenly from this one on")
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        listed, truths = load_images(args.spec, args.split), load_truth(args.spec, args.split)
        with tempfile.TemporaryDirectory() as folder:
            sources = [open_source(text, truths, Path(folder)) for text in args.sources or [DEFAULT]]
            rows = np.linspace(args.first, len(listed) - 1, args.images or len(listed) - args.first).astype(int)
            found = {source.name: judge_source(source, listed, truths, rows.tolist()) for source in sources}
    except InputError as error:
        parser.error(str(error))
    for table in (boxes_table, groups_table, distributions_table):
        print("", *table(found), sep="\n")
    if args.figure is not None:
        draw(found, args.figure)


if __name__ == "__main__":
    main()
