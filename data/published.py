"""How many images the published data sets have, by split, and the archives they come in (docs/reproduce.md)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from data import voc


@dataclass(frozen=True)
class PublishedSplit:
    """images: how many the split has; archive: the file of the official page that brings its list."""

    images: int
    archive: str


def _splits(archive: str, **counts: int) -> dict[str, PublishedSplit]:
    return {name.replace("_", "-"): PublishedSplit(count, archive) for name, count in counts.items()}


SBD = _splits("benchmark.tgz of SBD", sbd_train=8498, sbd_val=2857, train_aug=10582)
VOC2012 = {
    **_splits("VOCtrainval_11-May-2012.tar", train=5717, val=5823, trainval=11540),
    **_splits("VOCtrainval_11-May-2012.tar", seg_train=1464, seg_val=1449, seg_trainval=2913),
    **SBD,
}
VOC2007 = {
    **_splits("VOCtrainval_06-Nov-2007.tar", train=2501, val=2510, trainval=5011),
    **_splits("VOCtrainval_06-Nov-2007.tar", seg_train=209, seg_val=213, seg_trainval=422),
    **_splits("VOCtest_06-Nov-2007.tar", test=4952, seg_test=210),
}
COCO = {
    **_splits("annotations_trainval2014.zip", train2014=82783, val2014=40504),
    **_splits("coco_annotations_minival.tgz", minival2014=5000, valminusminival2014=35504),
    **_splits("annotations_trainval2017.zip", train2017=118287, val2017=5000),
}
VOC_IDS = (
    ("PASCAL VOC 2012", re.compile(r"20\d\d_\d{6}"), VOC2012),
    ("PASCAL VOC 2007", re.compile(r"\d{6}"), VOC2007),
)


def recognise(
    scheme: str, class_names: tuple[str, ...], ids: Iterable[str], splits: Iterable[str]
) -> tuple[str, dict[str, PublishedSplit]] | None:
    """(name, splits) of the published data set that this is a copy or a part of; None for anything else.

    scheme: of the SPEC. ids: of all images. splits: names of the splits that were found.
    """
    if scheme == "coco":
        years = {name[-4:] for name in splits if name in COCO}
        return ("MS COCO", {name: split for name, split in COCO.items() if name[-4:] in years}) if years else None
    if scheme != "voc" or class_names != voc.CLASSES:
        return None
    known = list(ids)
    for name, pattern, found in VOC_IDS:
        if known and all(pattern.fullmatch(image_id) for image_id in known):
            return name, found
    return None
