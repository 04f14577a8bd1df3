"""A trained model run over a whole split, with its progress on stderr."""

import sys
from collections.abc import Mapping

from data.records import ImageList
from pdsl.classes import class_ids
from pdsl.evaluate.infer import detect_images
from pdsl.evaluate.predictions import Prediction
from pdsl.progress import ImageProgress
from pdsl.run.trained import TrainedModel
from store.contents import PROPOSALS
from store.store import Store

FEW = 10
"""Images that could not be looked at, which the terminal names."""


def detect_split(
    trained: TrainedModel, images: ImageList, store: Store, *, tta: bool = False, only_present: bool = False
) -> tuple[list[Prediction], dict[str, str]]:
    """Predictions of all images, and the reason by id of those that could not be looked at.

    store: holds the proposals of these images. only_present: only classes that the image-level labels name, of each at
    least the best detection. Raises InputError if the proposals are incomplete or the data set has none of the classes.
    """
    store.require(PROPOSALS, rows=store.rows(record.id for record in images.records))
    found: list[Prediction] = []
    failed: dict[str, str] = {}
    ids = class_ids(trained.class_names, images, trained.config.classes)
    outcomes = detect_images(trained.model, trained.config, images, store, ids, tta=tta, only_present=only_present)
    with ImageProgress("detect", len(images)) as progress:
        for record, outcome in outcomes:
            if isinstance(outcome, str):
                failed[record.id] = outcome
            else:
                found += outcome
            progress.advance()
    return found, failed


def tell_failures(failed: Mapping[str, str], consequence: str, more: str) -> None:
    """Name on stderr the first images that could not be looked at, with the reasons of `detect_split`.

    consequence: what becomes of such an image. more: where all of them are told.
    """
    for image_id, reason in list(failed.items())[:FEW]:
        print(f"{image_id}: {reason}; {consequence}", file=sys.stderr)
    if len(failed) > FEW:
        print(f"… and {len(failed) - FEW} more images; {more}", file=sys.stderr)
