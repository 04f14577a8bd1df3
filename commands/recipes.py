"""The recipes that `init` knows: our default, the paper's, and that of the authors' release."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from data import voc
from data.catalog import default_splits, parse_spec, splits_of
from data.errors import InputError

RecipeName = Literal["default", "paper", "official"]
PUBLISHED_BOXES = "proposals/MCG"
"""Where `init` says the published proposals are, unless the user says where."""


@dataclass(frozen=True)
class Recipe:
    """What a workspace begins with: splits, the stages' parameters, published proposals, a shipped configuration, and
    whether one store holds both splits."""

    train: str
    val: str
    config: str
    stages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    proposals_from: str | None = None
    one_store: bool = False


def find_recipe(
    name: RecipeName, data: str, train: str | None = None, val: str | None = None, proposals_from: str | None = None
) -> Recipe:
    """The recipe `name` for a data set. train, val, proposals_from: what the user wants instead.

    Raises InputError where the data set has no such splits, and for recipes of other data than VOC and COCO.
    """
    scheme = parse_spec(data).scheme
    if name == "default":
        if not (train and val):
            usual = default_splits(data)
            train, val = train or usual[0], val or usual[1]
        one_store = scheme == "folder" or train == val
        return Recipe(train, val, shipped_configuration(data, train), {}, proposals_from, one_store)
    if scheme not in ("voc", "coco"):
        raise InputError(
            f"--recipe {name}: MCG's boxes are published for VOC and COCO only; {data} needs --recipe default"
        )
    if not (train and val):
        published = _published_splits(name, data)
        train, val = train or published[0], val or published[1]
    stages: dict[str, dict[str, Any]] = {
        "proposals": {"method": "files", "max_proposals": 2000 if name == "paper" else 4000},
        "grabcut": {"method": "opencv", "seeds": "all"},
    }
    return Recipe(train, val, f"{scheme}-{name}", stages, proposals_from or PUBLISHED_BOXES)


def shipped_configuration(data: str, train: str) -> str:
    """The shipped configuration that was published with such data and such a training split."""
    if parse_spec(data).scheme == "coco":
        return "coco-official"
    return "voc-paper" if train == voc.PAPER_SPLIT else "voc-official"


def _published_splits(name: RecipeName, data: str) -> tuple[str, str]:
    """(training, evaluation) splits of paper or release. COCO 2017's are the 2014 lists of the release, renamed."""
    if parse_spec(data).scheme == "coco":
        return default_splits(data)
    train = voc.PAPER_SPLIT if name == "paper" else voc.AUGMENTED_SPLIT
    known = splits_of(data)
    for split, cure in ((train, "SBD: name it by voc:DIR?sbd=DIR2"), ("seg-val", "ImageSets/Segmentation/val.txt")):
        if split not in known:
            need = cure if split != voc.PAPER_SPLIT else "ImageSets/Main/trainval.txt and Segmentation/val.txt"
            raise InputError(f"--recipe {name}: has split '{split}', which {data} lacks; it needs {need}")
    return train, "seg-val"
