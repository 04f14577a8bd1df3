"""Which ImageNet weights each backbone takes, and what a user without them is told."""

from dataclasses import dataclass
from typing import Any

import torchvision

from pdsl.config.model import SCRATCH, BackboneName
from pdsl.model.weight_files import TORCHVISION_NAMES


@dataclass(frozen=True)
class WeightSource:
    """A file of weights. megabytes: its size; sha256: how its checksum begins; None where it is not known.

    option: what `model.backbone.weights` is to say. remark: where it comes from, and what is frozen with it.
    """

    file: str
    option: str
    megabytes: float | None
    sha256: str | None
    remark: str


def weight_sources(backbone: BackboneName) -> list[WeightSource]:
    """What `backbone` can begin with, the paper's choice first; none for `tiny`, which is trained from scratch."""
    found = []
    if backbone.startswith("resnet"):
        file = f"{backbone}_model_120.pkl"
        remark = "the paper's; from the page of the authors' release; all frozen"
        found.append(WeightSource(file, f"weights/{file}", None, None, remark))
    if backbone in TORCHVISION_NAMES:
        weights: Any = torchvision.models.get_weight(f"{TORCHVISION_NAMES[backbone]}_Weights.IMAGENET1K_V1")
        file = weights.url.rpartition("/")[2]
        checksum = file.removesuffix(".pth").rpartition("-")[2]
        trained = "conv1 and conv2 frozen" if backbone == "vgg16" else "without stem, all trained"
        remark = f"torchvision's; `pdsl weights --fetch {backbone}` gets it; {trained}"
        found.append(WeightSource(file, "IMAGENET1K_V1", weights.meta["_file_size"], checksum, remark))
    return found


def without_weights(backbone: BackboneName) -> str:
    """What to tell who wants to train `backbone` and named no weights."""
    choices = []
    for source in weight_sources(backbone):
        size = f"{source.megabytes:.0f} MB, sha256 {source.sha256}…; " if source.megabytes else ""
        choices.append(f"{source.file} ({size}{source.remark}): model.backbone.weights={source.option}")
    return (
        f"model.backbone.weights: none given for '{backbone}', which does not learn from images alone. Get "
        f"{', or '.join(choices)}. In pdsl.yaml it goes under 'training:'. From scratch on purpose: "
        f"model.backbone.weights={SCRATCH}"
    )
