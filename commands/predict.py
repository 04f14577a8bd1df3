"""`predict`: detect and segment in image files; proposals are computed on the fly."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from data.decode import decode_image
from data.errors import InputError
from data.records import Decoding, ImageList, ImageRecord
from pdsl.evaluate.infer import predict_image
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.results import to_coco, write_json
from pdsl.outputs import refuse_overwriting
from pdsl.report.gallery import prediction_picture, shown
from pdsl.report.palette import class_colours
from pdsl.report.panels import save_picture
from pdsl.run.names import PREDICTIONS
from pdsl.run.trained import TrainedModel, load_trained
from pipeline.spec import Stage, StageInput
from stages.proposals.params import FROM_FILES
from stages.registry import build_stage
from store.contents import PROPOSAL_BOX, PROPOSAL_COUNT, PROPOSAL_SCORE, PROPOSALS
from store.store import open_store


def run(*, run: str, images: list[str], out: str, proposals: str | None = None) -> int:
    """Write OUT/NAME.png (masks, boxes, classes and scores on the image) for each file, and OUT/predictions.json.

    The JSON is a COCO results file: image_id is the file's NAME, category_id the class's number in the run, from 1.

    proposals: method to make proposals with; None: the training's. The EXIF orientation is applied. A file that fails
    is named with the reason, the rest goes on; the exit status is then 3.
    """
    trained = load_trained(run)
    stage, decoding = proposal_stage(trained, proposals), training_decoding(trained)
    names = picture_names(images)
    folder = Path(out)
    refuse_overwriting([folder / PREDICTIONS, *(folder / f"{name}.png" for name in names)], files=images, run=run)
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Prediction] = []
    records: list[ImageRecord] = []
    for path, name in track(list(zip(images, names, strict=True)), "predict", console=Console(stderr=True)):
        try:
            pixels = decode_image(path, **decoding)
            record = ImageRecord(name, path, (pixels.shape[0], pixels.shape[1]), ())
            predictions = predict_one(trained, stage, record, pixels)
        except Exception as error:  # one image may break a stage or not fit the device: the others go on
            print(f"{path}: {error or type(error).__name__}", file=sys.stderr)
            continue
        _draw(folder / f"{name}.png", pixels, predictions, trained.class_names)
        found += predictions
        records.append(record)
    categories = tuple(range(1, len(trained.class_names) + 1))
    write_json(folder / PREDICTIONS, to_coco(found, ImageList("", "", trained.class_names, categories, tuple(records))))
    print(f"{folder}: pictures of {len(records)} images and {PREDICTIONS} with {len(found)} detections")
    return 0 if len(records) == len(images) else 3


def predict_one(trained: TrainedModel, stage: Stage, record: ImageRecord, pixels: np.ndarray) -> list[Prediction]:
    """Predictions for one image (H, W, 3) uint8. Raises pipeline.spec.ImageFailure where the proposals fail."""
    rows = stage.compute(StageInput(record, pixels))
    count = int(rows[PROPOSAL_COUNT])
    return predict_image(trained, pixels, rows[PROPOSAL_BOX][:count], rows[PROPOSAL_SCORE][:count], image_id=record.id)


def proposal_stage(trained: TrainedModel, method: str | None = None) -> Stage:
    """Stage `proposals` as the run's training had it, by its checkpoint or else by its first store; `method` overrides.

    Raises InputError where nobody knows, or the training's proposals were ready-made: others give other detections.
    """
    if method is not None:
        return build_stage("proposals", {"method": method, "max_proposals": trained.config.data.max_proposals})
    params = _stored_params(trained)
    if params is None:
        raise InputError(
            "--run: does not say how its proposals were made, and its stores are gone; name --proposals METHOD"
        )
    if params.get("method") in FROM_FILES:
        raise InputError(
            "--run: was trained with ready proposals, which a new image has not; name --proposals METHOD to make some "
            "(expect other figures than with those of the training)"
        )
    return build_stage("proposals", params)


def _stored_params(trained: TrainedModel) -> dict[str, Any] | None:
    if trained.proposals is not None:
        return dict(trained.proposals["params"])
    try:
        identity = open_store(trained.config.data.stores[0]).identity(PROPOSALS)
    except (InputError, IndexError):
        return None
    return dict(identity.params) if identity else None


def training_decoding(trained: TrainedModel) -> Decoding:
    """How images are decoded: upright, with the limit and the bits of the run's first training store if it is there."""
    try:
        learnt = open_store(trained.config.data.stores[0]).decoding
    except (InputError, IndexError):
        learnt = ImageList("", "", (), (), ()).decoding
    return {**learnt, "exif": True}


def picture_names(paths: list[str]) -> list[str]:
    """A name for each file: its own without suffix, numbered where files of several folders share it."""
    names: list[str] = []
    for path in paths:
        stem = Path(path).stem or "image"
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return names


def _draw(path: Path, pixels: np.ndarray, predictions: list[Prediction], class_names: tuple[str, ...]) -> None:
    best = shown(predictions)
    picture = prediction_picture(pixels, best, class_names, class_colours(p.class_id for p in best))
    save_picture(picture, path)
