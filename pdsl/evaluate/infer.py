"""Detections of a trained model: one image, or all images of a list."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from data.decode import DecodeError, decode_record
from data.records import ImageList, ImageRecord
from pdsl.cache import used_proposals
from pdsl.config.inference import InferenceConfig
from pdsl.config.tree import DataConfig
from pdsl.evaluate.postprocess import final_boxes
from pdsl.evaluate.predictions import Prediction, paste_probability
from pdsl.evaluate.tta import Looker, View, views
from pdsl.model.pdsl import PDSL
from pdsl.structures import Detections, Proposals

ProposalSource = Callable[[ImageRecord, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(record, image (H, W, 3) uint8) -> boxes (P, 4) float32 xyxy, best first, and scores (P,) float32; or NoProposals."""


class NoProposals(Exception):
    """An image that has no proposals; the message is the reason."""


@torch.inference_mode()
def detect_image(
    model: PDSL,
    image: Tensor,
    proposals: Proposals,
    config: InferenceConfig,
    looks: Sequence[View],
    present: Tensor | None = None,
) -> Detections:
    """Final detections of one image.

    image: (3, H, W) uint8 or float RGB in 0..255, on the model's device, as are `proposals` (frame of the image).
    Scores and boxes are averaged per proposal over the views; then NMS; then the masks of the final boxes are averaged
    over the views. Of several views the features are computed twice rather than kept: they would not fit into small
    devices.
    present: (C,) bool, restricts the classes (`final_boxes`).
    """
    model.eval()
    size = (int(image.shape[1]), int(image.shape[2]))
    lookers = [Looker.of(view, size, config.max_side) for view in looks]
    scores, boxes = [], []
    for looker in lookers:
        found = model.detect(looker.image(image), looker.proposals(proposals))
        scores.append(found.score)
        boxes.append(looker.boxes_back(found.box))
    final = final_boxes(_mean(scores), _mean(boxes), size, config, present)
    if not len(final.box):
        side = model.mask_head.side
        return Detections(final.box, final.score, final.label, final.box.new_zeros(0, side, side))
    masks = []
    for looker in lookers:
        features = found.features if len(lookers) == 1 else model.backbone.features(looker.image(image))
        mask = model.segment(features, looker.boxes(final.box), final.label)
        masks.append(looker.masks_back(mask))
    return Detections(final.box, final.score, final.label, _mean(masks))


def detect_images(
    model: PDSL,
    images: ImageList,
    proposals_of: ProposalSource,
    config: InferenceConfig,
    *,
    tta: bool = False,
    class_ids: Sequence[int | None] | None = None,
    only_present: bool = False,
    data: DataConfig | None = None,
) -> Iterator[tuple[ImageRecord, list[Prediction] | str]]:
    """Each image with its predictions, or with the reason why it could not be looked at.

    class_ids: for each class of the model its id in `images.class_names`, None where the data set lacks it; default:
        the same ids. only_present: only the classes that the image-level labels name.
    data: which proposals are used, as in training; default: all.
    """
    device = next(model.parameters()).device
    ids = list(range(model.n_classes)) if class_ids is None else list(class_ids)
    looks = views(config, tta)
    for record in images.records:
        try:
            pixels = decode_record(record, exif=images.exif)
            box, score = proposals_of(record, pixels)
        except (DecodeError, NoProposals) as error:
            yield record, str(error)
            continue
        if not len(box):
            yield record, []
            continue
        present = None
        if only_present:
            present = torch.tensor([i in record.label for i in ids], dtype=torch.bool, device=device)
        found = detect_image(
            model,
            torch.from_numpy(pixels.transpose(2, 0, 1).copy()).to(device),
            as_proposals(box, score, device, data),
            config,
            looks,
            present,
        )
        yield record, to_predictions(found, record.id, record.size, config.mask_threshold, ids)


def as_proposals(box: np.ndarray, score: np.ndarray, device: torch.device, data: DataConfig | None = None) -> Proposals:
    """Boxes (P, 4) and scores (P,) of an image on the device: all, or those that training with `data` uses."""
    if data is not None:
        kept = used_proposals(box, data.max_proposals, data.min_size)
        box, score = box[kept], score[kept]
    valid = torch.ones(len(box), dtype=torch.bool, device=device)
    return Proposals(
        torch.tensor(box, dtype=torch.float32, device=device),
        torch.tensor(score, dtype=torch.float32, device=device),
        valid,
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
