"""The readers on the real images beside the project."""

from pathlib import Path

import numpy as np
import pytest

from data import rle
from data.catalog import default_splits, load_images, splits_of
from data.decode import decode_record
from data.masks import paste, to_box_frame
from data.truth_reader import load_truth

pytestmark = pytest.mark.real


@pytest.mark.parametrize("name", ["voc2007", "coco"])
def test_labels_agree_with_truth_in_every_split(shared: Path, name: str) -> None:
    spec = f"{name[:3] if name == 'voc2007' else name}:{shared / 'data' / name}"
    for split in splits_of(spec):
        images, truth = load_images(spec, split), load_truth(spec, split)
        assert [r.id for r in images.records] == [t.id for t in truth]
        for record, image_truth in zip(images.records, truth, strict=True):
            assert record.label == tuple(sorted({o.class_id for o in image_truth.objects}))
            assert record.size == image_truth.size and min(record.size) > 0


def test_files_have_the_sizes_of_their_annotations(shared: Path) -> None:
    for spec in (f"voc:{shared / 'data/voc2007'}", f"coco:{shared / 'data/coco'}"):
        images = load_images(spec, default_splits(spec)[1])
        for record in images.records[:20]:
            assert decode_record(record, exif=images.exif).dtype == np.uint8


def test_box_frame_masks_keep_coco_objects(shared: Path) -> None:
    overlaps = []
    for truth in load_truth(f"coco:{shared / 'data/coco'}", "val2017")[:30]:
        for item in truth.objects:
            if item.mask is None or item.crowd or (item.area or 0) < 32 * 32:
                continue
            full = rle.decode(item.mask)
            again = paste(to_box_frame(full, item.box), item.box, truth.size)
            overlaps.append((full & again).sum() / (full | again).sum())
    assert np.mean(overlaps) > 0.95


def test_masks_of_voc_add_no_objects(shared: Path) -> None:
    """What the devkit counts: the objects of the XML files. Instance k is the k-th of them, whatever it overlaps."""
    spec = f"voc:{shared / 'data/voc2007'}"
    truth = load_truth(spec, "val")
    annotations = shared / "data/voc2007/Annotations"
    annotated = sum((annotations / f"{t.id}.xml").read_text().count("<object>") for t in truth)
    assert sum(len(t.objects) for t in truth) == annotated == 787
    assert sum(item.mask is not None for t in truth for item in t.objects) == 55
