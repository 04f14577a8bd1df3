"""`export`: pseudo labels as COCO JSON, on which any detector can be trained."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.catalog import load_images
from data.files import opened_files
from data.heap import keep_memory
from data.names import file_names
from data.records import ImageList
from pdsl.evaluate.predictions import Prediction, box_mask, by_image
from pdsl.evaluate.results import has_numeric_ids, to_coco, write_json
from pdsl.evaluate.split import detect_split, tell_failures
from pdsl.outputs import refuse_overwriting
from pdsl.run.trained import load_trained
from store.labels import refuse_changed_labels
from store.store import open_store

SCORE = 0.5
"""Detections of this score and more become annotations, and the best one of each present class in any case."""


def run(*, run: str, data: str, split: str, store: str, out: str) -> int:
    """Write annotations of `split` of `data` to file `out`: detections of run `run` that agree with the image labels.

    Only classes that are present in the image; of each the best detection whatever its score, and those of SCORE and
    more. No ground truth is read. Returns 3 if images could not be looked at (they get no annotations).
    """
    keep_memory()
    trained = load_trained(run)
    opened = open_store(store)
    with opened_files() as read:
        images, rows = opened.locate(load_images(data, split))
    refuse_overwriting([Path(out)], data=read, images=images, run=run, stores=[store])
    refuse_changed_labels(opened, images, rows)
    found, failed = detect_split(trained, images, opened, only_present=True)
    tell_failures(failed, "it gets no annotations", "`status --failed FILE` lists those of the stages")
    labels = [label for listed in by_image(found).values() for label in pseudo_labels(listed)]
    write_json(Path(out), annotations(labels, images, run))
    print(f"{out}: {len(labels)} annotations of {len(images)} images")
    return 3 if failed else 0


def pseudo_labels(predictions: list[Prediction]) -> list[Prediction]:
    """Of an image's predictions, best first, the first of each class and those of SCORE and more.

    An empty mask becomes the whole box: no detector learns from an annotation without a pixel.
    """
    seen: Counter[int] = Counter()
    kept = []
    for p in predictions:
        if p.score >= SCORE or not seen[p.class_id]:
            empty = p.mask is not None and not p.area("mask")
            kept.append(replace(p, mask=box_mask(p.box, p.mask["size"])) if p.mask and empty else p)
        seen[p.class_id] += 1
    return kept


def annotations(labels: list[Prediction], images: ImageList, run: str) -> dict[str, Any]:
    """The content of a COCO instances file; `score` is an extra field of each annotation.

    Image ids are the data set's own if they are whole numbers, else 1, 2, 3 … in order (COCO's tools need numbers).
    """
    rows = to_coco(labels, images)
    own = has_numeric_ids(images)
    number = {record.id: int(record.id) if own else place for place, record in enumerate(images.records, 1)}
    for place, (row, label) in enumerate(zip(rows, labels, strict=True), 1):
        row |= {"id": place, "image_id": number[label.image_id], "iscrowd": 0, "area": label.area("mask")}
    return {
        "info": {"description": f"pseudo labels by {run} from image-level labels of {images.spec} {images.split}"},
        "images": [
            {"id": number[r.id], "file_name": name, "height": r.size[0], "width": r.size[1]}
            for r, name in zip(images.records, file_names([r.path for r in images.records]), strict=True)
        ],
        "categories": [
            {"id": category, "name": name}
            for category, name in zip(images.category_ids, images.class_names, strict=True)
        ],
        "annotations": rows,
    }
