"""A few training images, always the same ones, as a model under training sees them: pseudo boxes, masks, detections."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from pdsl.cache import CacheReader
from pdsl.config.tree import Config
from pdsl.evaluate.infer import predict_image
from pdsl.evaluate.predictions import Prediction, paste_probability
from pdsl.evaluate.tta import ViewFrame, views
from pdsl.model.pdsl import PDSL
from pdsl.raw_sample import RawSample
from pdsl.report.gallery import SHOWN_SCORE, prediction_picture, shown
from pdsl.report.overlay import Shape, draw
from pdsl.report.palette import class_colours
from pdsl.report.panels import side_by_side
from pdsl.run.trained import TrainedModel
from pdsl.train.randomness import Purpose, derived_seed


class TrainingPictures:
    """Draws `images` (of the training set) as a model sees them at plain inference, in one view without dropout."""

    def __init__(self, config: Config, class_names: Sequence[str], images: Sequence[RawSample]) -> None:
        self.config, self.class_names, self.images = config, tuple(class_names), images

    def __call__(self, model: PDSL) -> Mapping[str, Image.Image]:
        """Image id -> three panels. The model is left in training mode, and otherwise as it was."""
        model.eval()
        drawn = {image.image_id: self._panels(model, image) for image in self.images}
        model.train()
        return drawn

    def _panels(self, model: PDSL, image: RawSample) -> Image.Image:
        """Pseudo boxes of the classes present; the mask targets in them; detections."""
        pixels = image.image.numpy().transpose(1, 2, 0)
        taught = pseudo_objects(model, self.config, image)
        trained = TrainedModel(model, self.config, self.class_names, 0)
        found = shown(predict_image(trained, pixels, image.box.numpy(), image.score.numpy(), image_id=image.image_id))
        colours = class_colours(p.class_id for p in [*taught, *found])
        boxes = [Shape(colours[p.class_id], p.box, text=self.class_names[p.class_id]) for p in taught]
        masks = [Shape(colours[p.class_id], p.box, p.mask) for p in taught]
        panels = [
            (f"{image.image_id}: pseudo boxes", draw(pixels, boxes, dim=0.2)),
            ("what their masks are taught", draw(pixels, masks, dim=0.2)),
            (
                f"detections from {SHOWN_SCORE} on, or the best",
                prediction_picture(pixels, found, self.class_names, colours),
            ),
        ]
        return side_by_side(panels, len(panels))


def pseudo_objects(model: PDSL, config: Config, image: RawSample) -> list[Prediction]:
    """What a model that is in eval mode would learn from in an image now: the pseudo box of each class present, with
    its mask target as mask and its score, smallest first."""
    sample = image.to_sample(next(model.parameters()).device)
    frame = ViewFrame.of(views(config.inference, tta=False)[0], image.size, config.inference.max_side)
    sample = replace(sample, image=frame.image(sample.image), proposals=frame.proposals(sample.proposals))
    taught = model.pseudo_ground_truth(sample)
    corners = frame.boxes_back(taught.box).cpu().numpy().astype(np.float64)
    score, mask = taught.score.cpu().numpy(), taught.mask.cpu().numpy()
    present = [int(class_id) for class_id in taught.present.nonzero()[:, 0]]
    objects = [
        Prediction(
            image.image_id, c, float(score[c]), corners[c], paste_probability(mask[c], corners[c], image.size, 0.5)
        )
        for c in present
    ]
    return sorted(objects, key=lambda p: p.area("box"))


def build_pictures(config: Config, cache: CacheReader) -> TrainingPictures:
    """Pictures of `config.pictures` images of the training set, drawn by `config.seed`: `pictures` of
    `pdsl.train.loop.train`. Raises InputError for an image that can not be read."""
    order = np.random.default_rng(derived_seed(Purpose.PICTURES, config.seed)).permutation(len(cache))
    chosen = sorted(int(index) for index in order[: config.pictures])
    return TrainingPictures(config, cache.class_names, [cache.read(index) for index in chosen])
