"""`predict`: detect and segment in image files; proposals are computed on the fly."""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from commands.image_stages import ImageStages, image_stages
from commands.interrupt import exit_status
from data.decode import decode_image
from data.errors import InputError, system_advice
from data.files import is_url
from data.heap import keep_memory
from data.image_paths import NamedImage, find_images
from data.records import Decoding, ImageList, ImageRecord
from pdsl.config.tree import DeviceName
from pdsl.evaluate.infer import predict_image
from pdsl.evaluate.photo_results import PhotoResults
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.seed_masks import ImageSeeds
from pdsl.outputs import refuse_overwriting
from pdsl.progress import ImageProgress
from pdsl.report.gallery import MOST_SHOWN, SHOWN_SCORE, prediction_picture
from pdsl.report.palette import class_colours
from pdsl.report.panels import is_own_picture, save_picture
from pdsl.run.names import IMAGES, PREDICTIONS
from pdsl.run.trained import TrainedModel, load_trained
from store.store import open_store


@dataclass(frozen=True)
class _Choice:
    """Which detections are told. score: those of this score and more; top: so many of an image at most; None: all of
    them are written, and those of SHOWN_SCORE and more, at most MOST_SHOWN, are drawn."""

    score: float | None
    top: int | None

    def written(self, predictions: list[Prediction]) -> list[Prediction]:
        """Of an image's predictions, best first, those for the results file."""
        return [p for p in predictions if p.score >= (self.score or 0.0)][: self.top]

    def drawn(self, predictions: list[Prediction]) -> list[Prediction]:
        """Those for the picture."""
        return [p for p in predictions if p.score >= self.drawn_from][: self.top or MOST_SHOWN]

    @property
    def drawn_from(self) -> float:
        """The least score of the pictures."""
        return SHOWN_SCORE if self.score is None else self.score


@dataclass
class _Seen:
    """What the images held: how many detections were drawn, and of all the surest, with the image."""

    drawn: int = 0
    best: Prediction | None = None

    def look(self, predictions: Sequence[Prediction], drawn: int) -> None:
        """At one more image's, best first."""
        self.drawn += drawn
        if predictions and (self.best is None or predictions[0].score > self.best.score):
            self.best = predictions[0]

    def hint(self, least: float, class_names: Sequence[str]) -> str | None:
        """What to do where nothing at all is sure enough to be drawn."""
        if self.drawn:
            return None
        if self.best is None:
            return "nothing was found at any score: `pdsl eval` or the run's report tells how well the model does"
        best = f"{class_names[self.best.class_id]} {self.best.score:.2g} in {self.best.image_id}"
        lower = f"--score {self.best.score / 2:.1g}"
        return f"no detection scores {least:g} or more, so none is drawn; the best: {best}; {lower} draws more"


def run(
    *,
    run: str,
    images: list[str],
    out: str,
    proposals: str | None = None,
    score: float | None = None,
    top: int | None = None,
    device: DeviceName | None = None,
) -> int:
    """Write OUT/NAME.png (masks, boxes, classes and scores on the image) for each image, OUT/predictions.json and
    OUT/images.json (`PhotoResults`).

    images: files, folders, patterns, lists (`find_images`). proposals: method to make proposals with; None: the
    training's. score, top: see `_Choice`. device: None: the run's. The EXIF orientation is applied.
    An image that fails, or whose picture does not fit on the disk, is named with the reason and the rest goes on; the
    status is then 3. What was found is saved every minute, and when a signal ends it (status 130 or 143).
    Raises InputError, and OSError where not even the results can be saved.
    """
    folder = Path(out)
    given = [image for image in find_images(images) if not _drawn_before(image.path, folder.resolve())]
    if not given:
        raise InputError(f"{images[0]}: holds only pictures that `predict` drew; name the photographs")
    pictures = [folder / f"{image.name}.png" for image in given]
    files = [folder / PREDICTIONS, folder / IMAGES]
    lists = [path for path in images if Path(path).is_file()]
    refuse_overwriting([*files, *pictures], files=[*lists, *(image.path for image in given)], run=run)
    keep_memory()
    trained = load_trained(run, device)
    stages, decoding = image_stages(trained, proposals), training_decoding(trained)
    results, choice, seen = PhotoResults(folder, trained, given), _Choice(score, top), _Seen()
    stopped: KeyboardInterrupt | None = None
    with ImageProgress("predict", len(given)) as progress:
        try:
            for image, picture in zip(given, pictures, strict=True):
                progress.advance(_one_image(image, picture, trained, stages, decoding, results, choice, seen))
                results.save_when_due()
        except KeyboardInterrupt as ended:
            stopped = ended
        except OSError:
            progress.note(f"{folder}: has the detections of {results.saved} of {len(given)} images")
            raise
    results.save()
    done, found = results.counts
    print(f"{folder}: {PREDICTIONS} with {found} detections in {done} of {len(given)} images, and their pictures")
    if done and (hint := seen.hint(choice.drawn_from, trained.class_names)):
        print(hint, file=sys.stderr)
    if stopped:
        return exit_status(stopped)
    return 3 if progress.failed else 0


def _drawn_before(path: str, folder: Path) -> bool:
    """Whether an image is a picture of ours, of an earlier run into `folder`, which is absolute."""
    return not is_url(path) and folder in Path(path).resolve().parents and is_own_picture(Path(path))


def _one_image(
    image: NamedImage,
    picture: Path,
    trained: TrainedModel,
    stages: ImageStages,
    decoding: Decoding,
    results: PhotoResults,
    choice: _Choice,
    seen: _Seen,
) -> str | None:
    """Detect, keep and draw; returns the image's name and why something failed, or None."""
    try:
        pixels = decode_image(image.path, **decoding)
        record = results.record(image, (pixels.shape[0], pixels.shape[1]))
        predictions = predict_one(trained, stages, record, pixels)
    except Exception as error:  # one image may break a stage or not fit the device: the others go on
        return f"{image.path}: {error or type(error).__name__}"
    results.add(record, choice.written(predictions))
    drawn = choice.drawn(predictions)
    seen.look(predictions, len(drawn))
    try:
        _draw(picture, pixels, drawn, trained.class_names)
    except OSError as error:
        results.save()  # where that fails, too, there is nothing to go on for
        return f"{picture}: {system_advice(error) or error}; detections are kept"
    return None


def predict_one(
    trained: TrainedModel, stages: ImageStages, record: ImageRecord, pixels: np.ndarray
) -> list[Prediction]:
    """Predictions for one image (H, W, 3) uint8. Raises pipeline.spec.ImageFailure where a stage fails."""
    proposals, found = stages.compute(record, pixels)
    device = next(trained.model.parameters()).device
    seeds = None if found is None else ImageSeeds.of(proposals, found, device)
    return predict_image(trained, pixels, *proposals, image_id=record.id, seeds=seeds)


def training_decoding(trained: TrainedModel) -> Decoding:
    """How images are decoded: upright, with the limit and the bits of the training's; of older checkpoints those of
    their first store if it is there."""
    learnt = trained.decoding or ImageList("", "", (), (), ()).decoding
    if trained.decoding is None:
        with contextlib.suppress(InputError, IndexError):
            learnt = open_store(trained.config.data.stores[0]).decoding
    return {**learnt, "exif": True}


def _draw(path: Path, pixels: np.ndarray, predictions: list[Prediction], class_names: tuple[str, ...]) -> None:
    colours = class_colours(p.class_id for p in predictions)
    save_picture(prediction_picture(pixels, predictions, class_names, colours), path)
