"""Synthetic scenes: readable, reproducible, and hard to guess."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from data import rle
from data.boxes import area, pairwise_iou
from data.catalog import default_splits, load_images
from data.decode import decode_record
from data.errors import InputError
from data.scenes import ALL_CLASSES, draw_scene, write_scenes
from data.scenes.scene import LEAST_VISIBLE
from data.truth_reader import load_truth


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    write_scenes(root, train=60, val=5, side=96)
    return root


def _digests(root: Path, pattern: str) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(root.glob(pattern))}


def test_a_voc_layout_whose_labels_masks_and_boxes_agree(scenes: Path) -> None:
    spec = f"voc:{scenes}"
    assert default_splits(spec) == ("trainval-no-segval", "seg-val")
    images, truth = load_images(spec, "train"), load_truth(spec, "train")
    assert images.class_names == ALL_CLASSES
    assert len(images) == 60
    for record, image_truth in zip(images.records, truth, strict=True):
        assert record.label == tuple(sorted({o.class_id for o in image_truth.objects}))
        assert decode_record(record, exif=False).shape == (*record.size, 3)
        assert max(record.size) == 96
        assert 1 <= len(image_truth.objects) <= 4
        assert image_truth.has_masks
        for item in image_truth.objects:
            assert item.mask is not None
            rows, columns = np.nonzero(rle.decode(item.mask))
            assert item.box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_boxes_filled_or_guessed_are_poor(scenes: Path) -> None:
    fill, whole, random, overlaps = [], [], [], 0
    rng = np.random.default_rng(0)
    for truth in load_truth(f"voc:{scenes}", "train"):
        height, width = truth.size
        for item in truth.objects:
            assert item.mask is not None
            fill.append(rle.decode(item.mask).sum() / area(item.box))
            whole.append(area(item.box) / (height * width))
            corners = np.sort(rng.uniform(0, [height, width], (2, 2)), 0)[:, ::-1].reshape(1, 4)
            random.append(pairwise_iou(item.box[None], corners).item())
        boxes = np.stack([o.box for o in truth.objects])
        overlaps += int((pairwise_iou(boxes, boxes) - np.eye(len(boxes)) > 0).any())
    assert np.mean(fill) < 0.5
    assert max(whole) < 0.5
    assert np.mean(np.array(random) > 0.5) < 0.05
    assert overlaps > 5


def test_reproducible_and_independent_of_the_count(scenes: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path, train=3, val=2, side=96)
    for pattern in ("JPEGImages/*", "SegmentationObject/*", "Annotations/*"):
        few, many = _digests(tmp_path, pattern), _digests(scenes, pattern)
        assert len(few) == 5
        assert few.items() <= many.items()
    write_scenes(tmp_path / "other", train=3, val=0, side=96, seed=1)
    other = _digests(tmp_path / "other", "JPEGImages/*")
    assert not set(other.values()) & set(_digests(scenes, "JPEGImages/*").values())


def test_objects_stay_visible() -> None:
    for seed in range(20):
        scene = draw_scene(np.random.default_rng(seed), side=64)
        counts = np.bincount(scene.instance.ravel(), minlength=len(scene.names) + 1)
        assert len(counts) == len(scene.names) + 1
        assert counts.min() > 0
    assert 0 < LEAST_VISIBLE < 1


def test_classes_can_be_chosen(tmp_path: Path) -> None:
    write_scenes(tmp_path, train=4, val=1, side=48, classes=("gear", "moon"))
    assert load_images(f"voc:{tmp_path}", "train").class_names == ("gear", "moon")
    with pytest.raises(InputError, match="did you mean 'gear'"):
        write_scenes(tmp_path, train=1, val=1, classes=("gaer",))
    with pytest.raises(InputError, match="side 8"):
        write_scenes(tmp_path, train=1, val=1, side=8)
