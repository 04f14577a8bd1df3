"""`predict --split`: the detections of a whole split as a results file, which needs no ground truth: to hand in."""

from pathlib import Path

from data.catalog import load_images
from data.heap import keep_memory
from pdsl.evaluate.results import to_coco, write_json
from pdsl.evaluate.split import detect_split, tell_failures
from pdsl.run.names import PREDICTIONS
from pdsl.run.trained import load_trained
from store.store import open_store


def run(*, run: str, data: str, split: str, store: str, out: str) -> int:
    """Write OUT/predictions.json: COCO results of run `run` for `split` of `data`, with the data set's own ids.

    store: holds the split's proposals. Returns 3 if images could not be looked at (they get no detections). Raises
    InputError for bad input, and for images that the store lacks.
    """
    keep_memory()
    trained, opened = load_trained(run), open_store(store)
    images, _ = opened.locate(load_images(data, split))
    found, failed = detect_split(trained, images, opened)
    tell_failures(failed, "it gets no detections", "`status --failed FILE` lists those of the stages")
    path = Path(out) / PREDICTIONS
    write_json(path, to_coco(found, images))
    print(f"{path}: {len(found)} detections in {len(images) - len(failed)} images of {data} {split}")
    return 3 if failed else 0
