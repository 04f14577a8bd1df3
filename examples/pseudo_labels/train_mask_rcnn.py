"""Train torchvision's Mask R-CNN on pseudo labels of `pdsl export`, and say what it finds in other images.

    python train_mask_rcnn.py --labels labels.json photos/images --weights imagenet --minutes 60 --out mask-rcnn \
        --predict voc:VOC2007 val
    pdsl eval --results mask-rcnn/predictions.json --data voc:VOC2007 --split val

Fills --out with log.jsonl, model.pt, predictions.json (COCO results with the data set's own ids) and pictures of some
predictions.
The status is 3 if images to predict could not be read.
"""

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from network import BACKBONES, build_mask_rcnn
from pseudo_labels import Photo, PseudoLabels, read_labels
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from data import rle
from data.catalog import load_images
from data.decode import DecodeError, decode_record
from data.errors import InputError
from data.records import ImageList, ImageRecord
from pdsl.evaluate.predictions import Prediction
from pdsl.evaluate.results import to_coco, write_json
from pdsl.report.gallery import prediction_picture, shown
from pdsl.report.palette import class_colours
from pdsl.report.panels import save_picture

WARM_UP = 100
"""Updates until the full learning rate."""
LARGEST_GRADIENT = 10.0
TOLD_EVERY = 10.0
"""Seconds between lines of progress."""
TERMS = {
    "loss_objectness": "rpn",
    "loss_rpn_box_reg": "rpn_box",
    "loss_classifier": "class",
    "loss_box_reg": "box",
    "loss_mask": "mask",
}
"""What torchvision calls the terms of the loss, and how they are told."""


def main() -> int:
    given = _arguments()
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    random.seed(given.seed)
    torch.manual_seed(given.seed)
    rename = dict(pair.split("=", 1) for pair in given.rename)
    labels = read_labels(given.labels, rename, given.min_score, given.upright)
    wanted = load_images(*given.predict) if given.predict else None  # a wrong name shows now, not in an hour
    device = torch.device(given.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model = build_mask_rcnn(
        given.backbone, given.weights, len(labels.class_names), side=given.side, learn_trunk=given.learn_trunk
    ).to(device)
    annotations = sum(len(photo.annotations) for photo in labels.photos)
    print(f"{len(labels.photos)} images, {annotations} pseudo labels of {len(labels.class_names)} classes; {device}")
    train(model, labels, given, device)
    torch.save({"model": model.state_dict(), "class_names": labels.class_names}, out / "model.pt")
    return predict(model, labels, wanted, rename, out, given.pictures) if wanted else 0


def train(model: MaskRCNN, labels: PseudoLabels, given: argparse.Namespace, device: torch.device) -> None:
    """Updates of SGD, `batch` images each, until --steps or --minutes are over; the rate falls to 0 by a cosine."""
    model.train()
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learning, given.lr, momentum=0.9, weight_decay=1e-4)
    order = _endless(labels.photos)
    log = Log(Path(given.out) / "log.jsonl")
    begun, step = time.monotonic(), 0
    while (done := _share_done(step, given, begun)) < 1:
        optimizer.param_groups[0]["lr"] = given.lr * min(1, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * done)) / 2
        optimizer.zero_grad()
        for _ in range(given.batch):  # one image a pass: no padding, and every picture is the same each time it is seen
            pixels, target = next(order).read(mirrored=random.random() < 0.5)
            losses = model([pixels.to(device)], [{name: x.to(device) for name, x in target.items()}])
            (sum(losses.values()) / given.batch).backward()
            log.add(losses)
        norm = torch.nn.utils.clip_grad_norm_(learning, LARGEST_GRADIENT)
        if torch.isfinite(norm):
            optimizer.step()
        step += 1
        log.end_update(step, _share_done(step, given, begun), begun)


def predict(
    model: MaskRCNN,
    labels: PseudoLabels,
    images: ImageList,
    rename: Mapping[str, str],
    out: Path,
    pictures: int,
) -> int:
    """Write OUT/predictions.json for all `images`, and pictures of the first ones. The exit status."""
    own = {rename.get(name, name): class_id for class_id, name in enumerate(images.class_names)}
    class_ids = {label: own[name] for label, name in enumerate(labels.class_names, 1) if name in own}
    if not class_ids:
        raise InputError(
            f"--predict {images.spec}: has none of the classes of the labels; --rename A=B joins two names"
        )
    model.eval()
    found: list[Prediction] = []
    failed, told = 0, time.monotonic()
    for place, record in enumerate(images.records):
        try:
            pixels = decode_record(record, **images.decoding)
        except DecodeError as error:
            print(f"{record.path}: {error}; it gets no detections", file=sys.stderr)
            failed += 1
            continue
        predictions = predict_image(model, torch.from_numpy(pixels), record, class_ids)
        found += predictions
        if place < pictures:
            best = shown(predictions)
            picture = prediction_picture(pixels, best, images.class_names, class_colours(p.class_id for p in best))
            save_picture(picture, out / f"{record.id.replace('/', '-')}.png")
        if time.monotonic() - told > TOLD_EVERY:
            print(f"predict: {place + 1} of {len(images)} images", flush=True)
            told = time.monotonic()
    write_json(out / "predictions.json", to_coco(found, images))
    print(f"{out / 'predictions.json'}: {len(found)} detections in {len(images) - failed} images")
    return 3 if failed else 0


@torch.inference_mode()
def predict_image(
    model: MaskRCNN, pixels: Tensor, record: ImageRecord, class_ids: Mapping[int, int]
) -> list[Prediction]:
    """Detections in an image (H, W, 3) uint8, best first. class_ids: those of the data set, by the model's labels."""
    device = next(model.parameters()).device
    (found,) = model([pixels.permute(2, 0, 1).to(device) / 255])
    boxes, scores, labels = (found[name].cpu().numpy() for name in ("boxes", "scores", "labels"))
    masks = (found["masks"][:, 0] >= 0.5).cpu().numpy()
    return [
        Prediction(record.id, class_ids[int(label)], float(score), box.astype(float), rle.encode(mask))
        for label, score, box, mask in zip(labels, scores, boxes, masks, strict=True)
        if int(label) in class_ids
    ]


def _endless(photos: tuple[Photo, ...]) -> Iterator[Photo]:
    """Every photo once in random order, then again."""
    while True:
        yield from random.sample(photos, len(photos))


def _share_done(step: int, given: argparse.Namespace, begun: float) -> float:
    """How much of the training is over, by updates or by the clock: 0 to 1."""
    by_clock = (time.monotonic() - begun) / 60 / given.minutes if given.minutes else 0
    return max(by_clock, step / given.steps if given.steps else 0)


class Log:
    """Losses of every update in a file of JSON lines; now and then their means since the last time on the terminal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text("")
        self.update: list[dict[str, float]] = []
        self.since: list[dict[str, float]] = []
        self.told = time.monotonic()

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """The losses of one image."""
        self.update.append({TERMS.get(name, name): float(loss.detach()) for name, loss in losses.items()})

    def end_update(self, step: int, done: float, begun: float) -> None:
        """done: the share of the training that is over, which began at `begun` of the clock."""
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **_means(self.update)}) + "\n")
        self.since += self.update
        self.update, now = [], time.monotonic()
        if now - self.told > TOLD_EVERY or done >= 1:
            terms = "  ".join(f"{name} {value:.3f}" for name, value in _means(self.since).items())
            rate, left = len(self.since) / (now - self.told), (now - begun) / 60 * max(1 / done - 1, 0)
            print(f"update {step}  {terms}  {rate:.1f} images/s  {left:.0f} min left", flush=True)
            self.since, self.told = [], now


def _means(images: Sequence[Mapping[str, float]]) -> dict[str, float]:
    terms = {name: sum(image[name] for image in images) / len(images) for name in images[0]}
    return {"loss": sum(terms.values()), **terms}


def _arguments() -> argparse.Namespace:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add: Callable[..., object] = words.add_argument
    add("--labels", nargs=2, action="append", required=True, metavar=("FILE", "IMAGES"), help="may be repeated")
    add(
        "--rename",
        nargs="+",
        action="extend",
        default=[],
        metavar="A=B",
        help="class A of further files is the first's B",
    )
    add("--min-score", type=float, default=0.0, metavar="S", help="leave out pseudo labels of a lower score")
    add(
        "--upright",
        action="store_true",
        help="the labels are those of folder: data, which have their EXIF rotation applied",
    )
    add("--out", required=True, metavar="DIR")
    add("--backbone", choices=sorted(BACKBONES), default="mobilenet_v3_large")
    add("--weights", required=True, metavar="FILE|imagenet|scratch", help="of the backbone, from torchvision")
    add("--learn-trunk", action="store_true", help="the backbone learns, too, although it has weights")
    add("--side", type=int, default=320, metavar="PIXELS", help="shorter side of the images (default: 320)")
    add("--steps", type=int, help="updates")
    add("--minutes", type=float, help="or until the time is over, whichever comes first")
    add("--batch", type=int, default=2, metavar="N", help="images an update (default: 2)")
    add("--lr", type=float, default=0.01)
    add("--seed", type=int, default=0)
    add("--device", metavar="cpu|cuda")
    add("--predict", nargs=2, metavar=("SPEC", "SPLIT"), help="images of a data set, as pdsl names it")
    add("--pictures", type=int, default=8, metavar="N", help="of the first images (default: 8)")
    given = words.parse_args()
    if not given.steps and not given.minutes:
        words.error("--steps or --minutes: say how long to train")
    return given


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
