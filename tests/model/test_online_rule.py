"""Targets from the cache against the paper's online rule: with masks of all proposals they are the same."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.papers_rule import Case, cached_targets, mean_iou, online_targets
from data.boxes import pairwise_iou
from data.catalog import load_images
from data.decode import decode_record
from data.scenes import draw_scene


def scene_case(seed: int) -> Case:
    """A scene with 60 boxes around its objects, some of which leave the image; the first of each object is its top."""
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, 160)
    boxes, tops = [], []
    for k in range(len(scene.names)):
        rows, columns = np.nonzero(scene.instance == k + 1)
        tight = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float64)
        tops.append(len(boxes))
        side = np.tile(tight[2:] - tight[:2], 2)
        boxes += [tight + rng.normal(0, 0.08, 4) * side for _ in range(60 // len(scene.names))]
    box = np.array(boxes, np.float32)
    return Case(scene.image, box, box[tops], rng.permutation(len(box))[:20])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_seed", [1, 5])
def test_all_proposals_cached_is_the_online_rule(seed: int, n_seed: int) -> None:
    """Up to resampling: one look at the mask (in its box's frame, at 2 x 2 points) instead of two."""
    case = scene_case(seed)
    online, cached = online_targets(case, n_seed), cached_targets(case, np.arange(len(case.box)), n_seed)
    assert online.any((1, 2)).any() and (online == cached).mean() > 0.96
    assert mean_iou(online, cached) > 0.92


def test_seeds_elsewhere_give_other_targets() -> None:
    """What the test above holds fixed does matter: without masks near its own box a proposal's target is another."""
    case = scene_case(0)
    elsewhere = np.flatnonzero(pairwise_iou(case.box, case.top[:1])[:, 0] == 0)[:5]
    assert len(elsewhere) == 5
    assert mean_iou(online_targets(case, 5), cached_targets(case, elsewhere, 5)) < 0.6


@pytest.mark.real
@pytest.mark.slow
def test_all_proposals_cached_is_the_online_rule_on_photographs(shared: Path) -> None:
    images = load_images(f"coco:{shared / 'data/coco'}", "train2017")
    rng = np.random.default_rng(0)
    for row in (0, 50, 100):
        pixels = decode_record(images.records[row], exif=images.exif)
        height, width = pixels.shape[:2]
        corner = rng.random((60, 2)) * [width * 0.3, height * 0.3] + 0.1 * height
        box = np.concatenate([corner, corner + 0.5 * height], 1).astype(np.float32)
        case = Case(pixels, box, box[:2], np.arange(5, 30))
        assert mean_iou(online_targets(case, 3), cached_targets(case, np.arange(60), 3)) > 0.9
