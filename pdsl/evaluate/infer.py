"""Detections of a trained model: one image, or all images of a list."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.decode import DecodeError, decode_record
from data.records import ImageList, ImageRecord
from pdsl.config.inference import InferenceConfig
from pdsl.config.tree import Config, DataConfig
from pdsl.evaluate.helpers import LAG, Helpers, side_by_side
from pdsl.evaluate.postprocess import final_boxes, joint_score
from pdsl.evaluate.predictions import Prediction, paste_probability
from pdsl.evaluate.seed_masks import ImageSeeds, blend, require_seeds, seeds_of
from pdsl.evaluate.tta import View, ViewFrame, views
from pdsl.model.pdsl import PDSL
from pdsl.model.precision import cast_once, use_bfloat16
from pdsl.raw_sample import used_proposals
from pdsl.run.trained import TrainedModel
from pdsl.structures import Detections, Proposals
from store.contents import PROPOSALS, is_done, read_proposals
from store.status import failed_images
from store.store import Store


@torch.inference_mode()
def detect_image(
    model: PDSL,
    image: Tensor,
    proposals: Proposals,
    config: InferenceConfig,
    looks: Sequence[View],
    present: Tensor | None = None,
    seeds: ImageSeeds | None = None,
    *,
    bf16: bool = False,
) -> Detections:
    """Final detections of one image.

    image: (3, H, W) uint8 or float RGB in 0..255, on the model's device, as are `proposals` (frame of the image).
    Scores and boxes are averaged per proposal over the views; then NMS; then the masks of the final boxes are averaged
    over the views, whose features are kept until then: 16 views of a photograph are half a gigabyte with 512 channels.
    present: (C,) bool, restricts the classes (`final_boxes`). seeds: what `config.seed_weight` blends the masks with.
    bf16: the network computes under bf16 autocast; scores, boxes and all that follows are float32 either way. Autocast
    casts the weights for every view; who looks more than once gives a model that is `cast_once`.
    """
    model.eval()
    precision = torch.autocast(image.device.type, torch.bfloat16, enabled=bf16)
    size = (int(image.shape[1]), int(image.shape[2]))
    frames = [ViewFrame.of(view, size, config.max_side) for view in looks]
    scores, mils, boxes, maps = [], [], [], []
    for frame in frames:
        pixels, moved = frame.image(image), frame.proposals(proposals)
        with precision:
            found = model.detect(pixels, moved)
        scores.append(found.score)
        mils.append(found.mil)
        boxes.append(frame.boxes_back(found.box))
        maps.append(found.features)
    score = joint_score(_mean(scores), _mean(mils), config.mil_weight)
    final = final_boxes(score, _mean(boxes), size, config, present)
    if not len(final.box):
        side = model.mask_head.side
        return Detections(final.box, final.score, final.label, final.box.new_zeros(0, side, side))
    masks = []
    for frame, features in zip(frames, maps, strict=True):
        with precision:
            mask = model.segment(features, frame.boxes(final.box), final.label)
        masks.append(frame.masks_back(mask))
    mask = _mean(masks)
    if seeds is not None:
        mask = blend(mask, final.box, seeds, config.seed_weight)
    return Detections(final.box, final.score, final.label, mask)


def detect_images(
    model: PDSL,
    config: Config,
    images: ImageList,
    store: Store,
    class_ids: Sequence[int | None],
    *,
    tta: bool = False,
    only_present: bool = False,
) -> Iterator[tuple[ImageRecord, list[Prediction] | str]]:
    """Each image with its predictions, or with the reason why it could not be looked at, in order.

    Images are decoded before the device asks for them, and its detections become masks of the image behind it, by
    threads: so a few images are in flight when the first one is told. A CPU looks at several at a time.

    images: some or all of those whose proposals `store` holds. class_ids: for each class of the model its id in
    `images.class_names`, None where the data set lacks it. only_present: only the classes that the image-level labels
    name. Raises InputError where the store is damaged or incomplete, also of the seeds that `seed_weight` asks for.
    """
    weight = config.inference.seed_weight
    device = next(model.parameters()).device
    rows = store.rows(record.id for record in images.records)
    require_seeds(store, weight, rows)
    reasons: dict[str, str] | None = None  # read only where an image failed
    ready = cast_once(model) if use_bfloat16(config.precision, device) else model
    detector = _Detector(ready, config, class_ids, views(config.inference, tta))
    beside = side_by_side(len(images)) if device.type == "cpu" else nullcontext()
    with Helpers() as helpers, beside as lookers:
        decoded = helpers.ahead(partial(_decode, **store.decoding), images.records)
        waiting: deque[tuple[ImageRecord, Future[list[Prediction]] | str]] = deque()
        for (record, image), row in zip(decoded, rows.tolist(), strict=True):
            if isinstance(image, str):
                waiting.append((record, image))
            elif not is_done(store, PROPOSALS, row):
                if reasons is None:
                    reasons = {failed.image: failed.reason for failed in failed_images(store, PROPOSALS)}
                reason = reasons.get(record.id, "see `status`")
                waiting.append((record, f"stage '{PROPOSALS}' failed for it: {reason}"))
            else:
                present = torch.tensor([i in record.label for i in class_ids]) if only_present else None
                proposals = read_proposals(store, row)
                seeds = seeds_of(store, row, proposals, device) if weight > 0 else None
                look = image, *proposals, present, seeds
                if lookers is not None:
                    waiting.append((record, lookers.submit(detector.predictions, record.id, *look)))
                else:
                    found, size = detector.detections(*look), (image.shape[0], image.shape[1])
                    waiting.append((record, helpers.submit(detector.told, found, record.id, size)))
            while len(waiting) > LAG:
                yield _settled(*waiting.popleft())
        while waiting:
            yield _settled(*waiting.popleft())


def predict_image(
    trained: TrainedModel,
    image: np.ndarray,
    box: np.ndarray,
    score: np.ndarray,
    *,
    image_id: str = "",
    seeds: ImageSeeds | None = None,
) -> list[Prediction]:
    """What a trained model finds in one image, best first; class ids are places in `trained.class_names`.

    image: (H, W, 3) uint8 RGB. Its proposals, best first, as stage `proposals` makes them: box (P, 4) float32 xyxy,
    half-open, in pixels of the image; score (P,) float32. image_id: what the predictions are to call the image. seeds:
    its seed masks, for a run with `inference.seed_weight`; None: the mask heads decide alone.
    Raises ValueError for other shapes.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image: {image.dtype} {image.shape}; it has to be uint8 (height, width, 3)")
    if box.shape != (len(score), 4) or score.ndim != 1:
        raise ValueError(f"box and score: {box.shape} and {score.shape}; they have to be (P, 4) and (P,)")
    every_class = range(len(trained.class_names))
    detector = _Detector(trained.model, trained.config, every_class, views(trained.config.inference, tta=False))
    return detector.predictions(image_id, image, box, score, seeds=seeds)


@dataclass(frozen=True)
class _Detector:
    """A model with the views it gets of an image, and the classes its detections are told in."""

    model: PDSL
    config: Config
    class_ids: Sequence[int | None]
    looks: Sequence[View]

    def predictions(
        self,
        image_id: str,
        image: np.ndarray,
        box: np.ndarray,
        score: np.ndarray,
        present: Tensor | None = None,
        seeds: ImageSeeds | None = None,
    ) -> list[Prediction]:
        """Of an image (H, W, 3) uint8 with proposals (P, 4) and (P,), of which those count that training uses."""
        found = self.detections(image, box, score, present, seeds)
        return self.told(found, image_id, (image.shape[0], image.shape[1]))

    def detections(
        self,
        image: np.ndarray,
        box: np.ndarray,
        score: np.ndarray,
        present: Tensor | None = None,
        seeds: ImageSeeds | None = None,
    ) -> Detections | None:
        """The part on the device; None without proposals."""
        if not len(box):
            return None
        device = next(self.model.parameters()).device
        return detect_image(
            self.model,
            torch.from_numpy(image.transpose(2, 0, 1).copy()).to(device),
            as_proposals(box, score, device, self.config.data),
            self.config.inference,
            self.looks,
            None if present is None else present.to(device),
            seeds,
            bf16=use_bfloat16(self.config.precision, device),
        )

    def told(self, found: Detections | None, image_id: str, size: tuple[int, int]) -> list[Prediction]:
        """The part on the host: masks put into the image of `size` (height, width)."""
        if found is None:
            return []
        return to_predictions(found, image_id, size, self.config.inference.mask_threshold, self.class_ids)


def _decode(record: ImageRecord, **decoding: Any) -> np.ndarray | str:
    """The image, or why it can not be read."""
    try:
        return decode_record(record, **decoding)
    except DecodeError as error:
        return str(error)


def _settled(
    record: ImageRecord, outcome: Future[list[Prediction]] | str
) -> tuple[ImageRecord, list[Prediction] | str]:
    return record, outcome if isinstance(outcome, str) else outcome.result()


def as_proposals(box: np.ndarray, score: np.ndarray, device: torch.device, data: DataConfig) -> Proposals:
    """Of the boxes (P, 4) and scores (P,) of an image those that training with `data` uses, on the device."""
    kept = used_proposals(box, data.max_proposals, data.min_size)
    return Proposals(
        torch.tensor(box[kept], dtype=torch.float32, device=device),
        torch.tensor(score[kept], dtype=torch.float32, device=device),
        torch.ones(len(kept), dtype=torch.bool, device=device),
    )


def to_predictions(
    found: Detections, image_id: str, size: tuple[int, int], threshold: float, class_ids: Sequence[int | None]
) -> list[Prediction]:
    """Detections with their masks put into the image; those of classes the data set lacks are left out."""
    box, score, label, mask = (t.cpu().numpy() for t in (found.box, found.score, found.label, found.mask))
    predictions = []
    for row in range(len(box)):
        class_id = class_ids[int(label[row])]
        if class_id is not None:
            corners = box[row].astype(np.float64)
            rle = paste_probability(mask[row], corners, size, threshold)
            predictions.append(Prediction(image_id, class_id, float(score[row]), corners, rle))
    return predictions


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    """Mean of equal shapes, summed in order."""
    return sum(tensors[1:], tensors[0]) / len(tensors)
