"""`predict --split`: the detections of a whole split as a results file, which needs no ground truth: to hand in."""

import sys
from pathlib import Path

from data.catalog import load_images
from pdsl.evaluate.results import to_coco, write_json
from pdsl.evaluate.split import detect_split
from pdsl.run.names import PREDICTIONS
from pdsl.run.trained import load_trained
from store.store import open_store

FEW = 10
"""Images that failed which are named on the terminal."""


def run(*, run: str, data: str, split: str, store: str, out: str) -> int:
    """Write OUT/predictions.json: COCO results of run `run` for `split` of `data`, with the data set's own ids.

    store: holds the split's proposals. Returns 3 if images could not be looked at (they get no detections). Raises
    InputError for bad input, and if the store holds other images.
    """
    trained, opened = load_trained(run), open_store(store)
    images = opened.align(load_images(data, split))
    found, failed = detect_split(trained, images, opened)
    for image_id, reason in list(failed.items())[:FEW]:
        print(f"{image_id}: {reason}; it gets no detections", file=sys.stderr)
    if len(failed) > FEW:
        print(f"… and {len(failed) - FEW} more images", file=sys.stderr)
    path = Path(out) / PREDICTIONS
    write_json(path, to_coco(found, images))
    print(f"{path}: {len(found)} detections in {len(images) - len(failed)} images of {data} {split}")
    return 3 if failed else 0
