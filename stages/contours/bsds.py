"""The Berkeley Segmentation Data Set (BSDS500): images and the boundaries that several people drew on each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from data.errors import InputError


@dataclass(frozen=True)
class DrawnImage:
    """An image and what each of A annotators drew on it.

    image: (H, W, 3) uint8 RGB; boundaries: (A, H, W) bool; segments: (A, H, W) int32 labels.
    """

    name: str
    image: np.ndarray
    boundaries: np.ndarray
    segments: np.ndarray


def image_paths(root: Path, split: str) -> list[Path]:
    """Images of `split` ("train", "val", "test") in the order of their names; InputError if there are none."""
    paths = sorted((root / "images" / split).glob("*.jpg"))
    if not paths:
        raise InputError(
            f"{root / 'images' / split}: no .jpg files; give the folder that holds images/ and groundTruth/"
        )
    return paths


def load_drawn(path: Path) -> DrawnImage:
    """One image with its annotations, found in `groundTruth` beside `images`."""
    from scipy.io import loadmat

    truth = path.parents[2] / "groundTruth" / path.parent.name / f"{path.stem}.mat"
    if not truth.is_file():
        raise InputError(f"{truth}: missing; BSDS500 keeps one .mat of annotations for each image")
    cells = loadmat(truth)["groundTruth"][0]
    boundaries = np.stack([cell["Boundaries"][0, 0] > 0 for cell in cells])
    segments = np.stack([cell["Segmentation"][0, 0].astype(np.int32) for cell in cells])
    with Image.open(path) as image:
        return DrawnImage(path.stem, np.asarray(image.convert("RGB")), boundaries, segments)


def training_paths(root: Path, kept_out: int) -> list[Path]:
    """Images of `train` and of `val`, without the last `kept_out` of `val`."""
    val = image_paths(root, "val")
    return image_paths(root, "train") + val[: max(len(val) - kept_out, 0)]


def evaluation_paths(root: Path, kept_out: int) -> list[Path]:
    """The last `kept_out` images of `val`."""
    return image_paths(root, "val")[-kept_out:]
