"""What `pdsl export` wrote, as torchvision's detectors want it."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from pycocotools.coco import COCO
from torch import Tensor


@dataclass(frozen=True)
class Photo:
    """An image and its annotations, class ids from 1."""

    path: Path
    size: tuple[int, int]
    coco: COCO
    annotations: Sequence[tuple[Mapping[str, Any], int]]

    def read(self, mirrored: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """(3, H, W) float32 in 0..1, and the target: boxes (n, 4) xyxy, labels (n,), masks (n, H, W) uint8."""
        image = Image.open(self.path)
        height, width = self.size
        if image.size != (width, height):
            image = ImageOps.exif_transpose(image)  # sizes of `folder:` data are those of the upright picture
        if image.size != (width, height):
            raise SystemExit(
                f"{self.path}: is {image.size[0]} x {image.size[1]} pixels, the labels say {width} x {height}"
            )
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 255
        masks = torch.from_numpy(np.stack([self.coco.annToMask(row) for row, _ in self.annotations]))
        x, y, w, h = torch.tensor([row["bbox"] for row, _ in self.annotations], dtype=torch.float32).unbind(1)
        if mirrored:
            pixels, masks, x = pixels.flip(-1), masks.flip(-1), width - x - w
        labels = torch.tensor([label for _, label in self.annotations])
        return pixels.contiguous(), {"boxes": torch.stack([x, y, x + w, y + h], 1), "labels": labels, "masks": masks}


@dataclass(frozen=True)
class PseudoLabels:
    """Photos with at least one annotation, and the names of the classes: label k is class_names[k - 1]."""

    class_names: tuple[str, ...]
    photos: tuple[Photo, ...]


def read_labels(files: Sequence[tuple[str, str]], rename: Mapping[str, str], min_score: float) -> PseudoLabels:
    """Files of `pdsl export`, each with its folder of images, as one training set.

    The first file names the classes; what others call differently is translated by `rename`, and what the first does
    not know is left out, as are annotations below `min_score`. So are images without annotation: the export gives one
    to every class that the labels name, so an image has none where nothing is in it, or where a stage failed.
    """
    names: tuple[str, ...] = ()
    photos: list[Photo] = []
    for labels, folder in files:
        with contextlib.redirect_stdout(None):
            coco = COCO(labels)
        find = _finder(Path(folder))
        known = {c["id"]: rename.get(c["name"], c["name"]) for c in coco.dataset["categories"]}
        names = names or tuple(known.values())
        for image in coco.dataset["images"]:
            rows = coco.imgToAnns[image["id"]]
            found = [
                (row, names.index(known[row["category_id"]]) + 1)
                for row in rows
                if _usable(row, known, names, min_score)
            ]
            if found:
                photos.append(Photo(find(image["file_name"]), (image["height"], image["width"]), coco, found))
    if not photos:
        raise SystemExit(f"{files[0][0]}: no annotation of a score of {min_score} or more")
    missing = next((photo.path for photo in photos if not photo.path.is_file()), None)
    if missing:
        raise SystemExit(f"{missing}: no such file; --labels takes the exported file and the folder of its images")
    return PseudoLabels(names, tuple(photos))


def _finder(folder: Path) -> Callable[[str], Path]:
    """Where an image lies of which the export gives the name alone, because no other has it: in `folder` or below."""
    below: dict[str, Path] = {}

    def find(name: str) -> Path:
        if not (folder / name).is_file() and not below:
            below.update({path.name: path for path in folder.rglob("*")})
        return folder / name if (folder / name).is_file() else below.get(name, folder / name)

    return find


def _usable(row: Mapping[str, Any], known: Mapping[int, str], names: Sequence[str], min_score: float) -> bool:
    *_, w, h = row["bbox"]
    return known[row["category_id"]] in names and row.get("score", 1.0) >= min_score and min(w, h) >= 1
