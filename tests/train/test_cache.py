"""The reader of stores: what it delivers, what it leaves out, and what it refuses."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data import masks
from data.catalog import load_images
from data.errors import InputError
from data.scenes import write_scenes
from pdsl.cache import open_cache
from pdsl.classes import join_classes
from pdsl.config.model import BoxHeadConfig, DetectionConfig, ModelConfig
from pdsl.config.tree import Config, DataConfig
from pdsl.raw_sample import unpack
from pdsl.train.introduction import introduction
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open
from store.store import open_store
from tests.train.makers import Parameters, make_store, stages


def test_masks_unpack_as_they_were_packed() -> None:
    frames = np.random.default_rng(0).random((3, masks.MASK_SIDE, masks.MASK_SIDE)) < 0.5
    assert np.array_equal(unpack(torch.from_numpy(masks.pack(frames))).numpy(), frames)


def test_a_sample_is_what_the_store_holds(store: str) -> None:
    cache = open_cache(DataConfig(stores=(store,)), {})
    opened = open_store(store)
    sample = cache.read(0)
    count = int(opened.read("proposals/count", sample.row))
    assert sample.image_id == opened.images().ids[sample.row]
    assert sample.image.dtype == torch.uint8 and sample.size == tuple(opened.images().sizes[sample.row])
    assert np.array_equal(sample.label.numpy(), opened.images().labels(sample.row))
    assert np.array_equal(sample.box.numpy(), opened.read("proposals/box", sample.row)[:count])
    assert sample.seed.tolist() == list(range(0, count, 4))
    moved = sample.to_sample("cpu")
    assert moved.seeds.mask.shape == (len(sample.seed), 56, 56) and moved.proposals.valid.all()


def test_it_knows_its_data_set(store: str) -> None:
    """As checkpoints keep it, for those who predict where the store is not."""
    opened = open_store(store)
    images = load_images(opened.images().spec, opened.images().split)
    assert open_cache(DataConfig(stores=(store,)), {}).data_set() == {
        "spec": images.spec,
        "class_names": list(images.class_names),
        "category_ids": list(images.category_ids),
    }


def test_seeds_beyond_the_proposals_that_are_used_are_dropped(store: str) -> None:
    sample = open_cache(DataConfig(stores=(store,), max_proposals=5), {}).read(0)
    assert len(sample.box) == 5 and sample.seed.tolist() == [0, 4]


def test_small_proposals_are_dropped_and_seeds_follow(store: str) -> None:
    everything = open_cache(DataConfig(stores=(store,)), {}).read(0)
    large = open_cache(DataConfig(stores=(store,), min_size=14), {}).read(0)
    side = (everything.box[:, 2:] - everything.box[:, :2]).amin(1)
    assert torch.equal(large.box, everything.box[side >= 14]) and 0 < len(large.box) < len(everything.box)
    assert large.box[large.seed].tolist() == [
        b.tolist() for b in everything.box[everything.seed] if min(b[2:] - b[:2]) >= 14
    ]
    assert len(large.mask) == len(large.seed)
    huge = open_cache(DataConfig(stores=(store,), min_size=1000), {}).read(0)
    assert torch.equal(huge.box, everything.box)


def test_some_of_the_proposals_keep_their_seeds(store: str) -> None:
    everything = open_cache(DataConfig(stores=(store,)), {}).read(0)
    rows, masked = everything.box.tolist(), everything.box[everything.seed].tolist()
    seen = set()
    for number in range(20):
        some = everything.some(5, torch.Generator().manual_seed(number))
        places = [rows.index(box) for box in some.box.tolist()]
        seen.update(places)
        assert places == sorted(places) and len(places) == 5  # best first, as they were
        assert torch.equal(some.score, everything.score[places])
        theirs = [place for place in everything.seed.tolist() if place in places]
        assert [rows.index(box) for box in some.box[some.seed].tolist()] == theirs
        assert all(
            torch.equal(mask, everything.mask[masked.index(rows[place])])
            for mask, place in zip(some.mask, theirs, strict=True)
        )
    assert seen == set(range(len(rows)))
    assert everything.some(None, torch.Generator()) is everything.some(len(rows), torch.Generator()) is everything


def test_failed_images_are_left_out_and_counted(store: str) -> None:
    cache = open_cache(DataConfig(stores=(store,)), {})
    assert len(cache) == 9 and cache.left_out == {"failed in a stage": 1}
    assert all(not cache.read(index).image_id.endswith("9") for index in range(9))


def test_images_without_a_class_are_left_out_if_asked(store: str) -> None:
    names = open_store(store).images().class_names
    labels = open_store(store).images().labels()
    only_first: dict[str, str | None] = dict.fromkeys(names[1:], None)
    usable = np.arange(10) != 9
    kept = open_cache(DataConfig(stores=(store,)), only_first) if labels[usable, 0].any() else None
    assert kept is None or len(kept) == labels[usable, 0].sum()
    assert len(open_cache(DataConfig(stores=(store,), skip_empty=False), only_first)) == 9


def test_incomplete_stale_and_missing_stores_are_refused(tmp_path: Path) -> None:
    url = make_store(tmp_path, train=4)
    with pytest.raises(InputError, match="no store to train on; give --store"):
        open_cache(DataConfig(), {})
    with pytest.raises(InputError, match="there is no store"):
        open_cache(DataConfig(stores=(str(tmp_path / "none.zarr"),)), {})
    images = load_images(f"voc:{tmp_path / 'data'}", "train")
    overwritten = create_or_open(url, images)
    run_stage(overwritten, images, stages(Parameters(jitter=5.0))[0], SerialExecutor(), overwrite=True)
    with pytest.raises(InputError, match=r"iou_graph is stale.*recomputed"):
        open_cache(DataConfig(stores=(url,)), {})
    for group in ("iou_graph", "grabcut"):
        shutil.rmtree(Path(url) / group)
    with pytest.raises(InputError, match=r"iou_graph.*not computed; run precompute"):
        open_cache(DataConfig(stores=(url,)), {})


def test_moved_images_are_found_with_data_and_other_images_are_refused(tmp_path: Path) -> None:
    url = make_store(tmp_path, train=3)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="--data SPEC"):
        open_cache(DataConfig(stores=(url,)), {})
    moved = f"voc:{tmp_path / 'elsewhere'}"
    assert len(open_cache(DataConfig(stores=(url,), images=moved), {})) == 3
    (tmp_path / "other").mkdir()
    make_store(tmp_path / "other", train=4, seed=1)
    with pytest.raises(InputError, match=r"train\.zarr"):
        open_cache(DataConfig(stores=(url,), images=f"voc:{tmp_path / 'other/data'}"), {})
    cache = open_cache(DataConfig(stores=(url,), images=moved), {})
    (tmp_path / "elsewhere/JPEGImages/train_000001.jpg").unlink()
    with pytest.raises(InputError, match=r"train_000001\.jpg.*restore the file"):
        for index in range(3):
            cache.read(index)


def test_several_stores_join(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    urls = (make_store(tmp_path / "a", train=3), make_store(tmp_path / "b", train=4, seed=1))
    cache = open_cache(DataConfig(stores=urls), {})
    assert len(cache) == 7 and len(cache.digests()) == 2
    assert [cache.read(index).index for index in range(7)] == list(range(7))
    with pytest.raises(InputError, match="several stores"):
        open_cache(DataConfig(stores=urls, images="voc:x"), {})


VOC, COCO = ("aeroplane", "cat"), ("airplane", "cat", "giraffe")


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ({"airplane": "aeroplane", "giraffe": None}, [["aeroplane", "cat"], ["aeroplane", "cat", None]]),
        ({"airplane": "aeroplane", "*": None}, [["aeroplane", "cat"], ["aeroplane", "cat", None]]),
        ({"*": None}, [[None, "cat"], [None, "cat", None]]),
    ],
)
def test_classes_join_by_name(classes: Mapping[str, str | None], expected: list[list[str | None]]) -> None:
    assert join_classes([VOC, COCO], ["voc", "coco"], classes) == expected


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"airplane": "aeroplane"}, "coco has giraffe, other stores have not"),
        ({}, "voc has aeroplane, other stores have not"),
        ({"airplan": "aeroplane"}, "no store has a class 'airplan'; did you mean 'airplane'"),
        ({"*": "cat"}, "can only be mapped to null"),
        ({"cat": None, "*": None}, "no class is left"),
    ],
)
def test_classes_that_do_not_join_are_refused(classes: Mapping[str, str | None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        join_classes([VOC, COCO], ["voc", "coco"], classes)


@dataclass(frozen=True)
class OfMethod(Parameters):
    """Parameters of stage `proposals` as far as their scores go."""

    method: str = "mcg"


@pytest.mark.parametrize(
    ("method", "version", "objectness", "told"),
    [
        ("mcg", 1, "box_head.objectness", True),
        ("mcg", 1, "detection.objectness_prior", True),
        ("mcg", 1, "", False),
        ("mcg", 2, "box_head.objectness", False),
        ("selective-search", 1, "box_head.objectness", False),
    ],
)
def test_scores_from_before_they_were_probabilities_are_told_where_they_are_read(
    tmp_path: Path, method: str, version: int, objectness: str, told: bool
) -> None:
    """Boxes and their order are the same, so such a store is not refused."""
    write_scenes(tmp_path / "data", train=2, val=1, side=48)
    images = load_images(f"voc:{tmp_path / 'data'}", "train")
    store = create_or_open(str(tmp_path / "s.zarr"), images)
    first, *others = stages()
    for stage in (replace(first, params=OfMethod(method=method), version=version), *others):
        run_stage(store, images, stage, SerialExecutor())
    cache = open_cache(DataConfig(stores=(str(tmp_path / "s.zarr"),)), {})
    head = BoxHeadConfig(objectness=objectness.startswith("box_head"))
    prior = DetectionConfig(objectness_prior=0.5 if objectness.startswith("detection") else 0.0)
    config = Config(model=ModelConfig(box_head=head, detection=prior))
    world = SimpleNamespace(size=1, device="cpu")
    lines = list(introduction(config, run=tmp_path, cache=cache, world=world, start=0))  # type: ignore[arg-type]
    warned = [line for line in lines if "no probabilities" in line]
    assert bool(warned) == told and all("s.zarr" in line and f"model.{objectness} takes" in line for line in warned)
