"""`inspect`: which image is meant, what is drawn of it, and contact sheets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import cli as program
from commands import inspect
from data.catalog import load_images
from data.errors import InputError
from data.masks import pack
from data.scenes import write_scenes
from pdsl.cache import open_cache
from pdsl.evaluate.predictions import Prediction
from pdsl.report.evidence import (
    Evidence,
    read_evidence,
    seeded_proposals,
    seeds_picture,
    shown_seeds,
    targets_picture,
)
from pdsl.report.training_pictures import pseudo_objects
from pdsl.run.trained import load_trained
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.contents import Seeds, read_seed_quality
from store.create import create_or_open
from store.store import Store, open_store
from tests.data.layouts import write_folder
from tests.train.makers import make_store, stages

SIZE = (640, 640)


@pytest.fixture
def both(tmp_path: Path) -> list[str]:
    """URLs of a training store with all stages and of a store of the val split with proposals only."""
    make_store(tmp_path)
    write_scenes(tmp_path / "data", train=10, val=3, side=64)
    images = load_images(f"voc:{tmp_path / 'data'}", "val")
    run_stage(create_or_open(str(tmp_path / "val.zarr"), images), images, stages()[0], SerialExecutor())
    return [str(tmp_path / "train.zarr"), str(tmp_path / "val.zarr")]


def test_images_of_both_splits_by_id_or_file_name(both: list[str], tmp_path: Path) -> None:
    sizes = []
    for image in ("train_000001", "val_000001", "val_000001.jpg", "data/JPEGImages/val_000001.jpg"):
        assert inspect.run(store=both, image=image, out=str(tmp_path / "p.png"), data=None) == 0
        with Image.open(tmp_path / "p.png") as picture:
            sizes.append(picture.size)
    assert sizes[1] == sizes[2] == sizes[3]
    assert sizes[0][1] > sizes[1][1]  # more panels
    with pytest.raises(InputError, match=r"have no such image; did you mean 'val_0000"):
        inspect.run(store=both, image="val_00001", out=str(tmp_path / "p.png"), data=None)


def test_an_image_of_a_sub_folder_by_its_file_s_name(tmp_path: Path) -> None:
    spec = write_folder(tmp_path, "image,labels\na/1.png,x\nb/1.png,y\nb/2.png,x\n", ["a/1.png", "b/1.png", "b/2.png"])
    url = str(tmp_path / "s.zarr")
    create_or_open(url, load_images(spec, "all"))
    assert inspect.run(store=url, image="2.png", out=str(tmp_path / "p.png"), data=None) == 0
    with pytest.raises(InputError, match="no such image"):
        inspect.run(store=url, image="1", out=str(tmp_path / "p.png"), data=None)  # which of the two?


def test_what_a_run_would_learn_from(
    scenes: Path, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pseudo box and target that training itself would choose for the image."""
    drawn: list[list[Prediction]] = []

    def kept(*given: Any) -> list[Prediction]:
        drawn.append(pseudo_objects(*given))
        return drawn[-1]

    monkeypatch.setattr(inspect, "pseudo_objects", kept)
    pictures = []
    for run in (None, str(run_folder)):
        options = {"store": str(scenes / "train.zarr"), "image": "train_000001", "data": None, "run": run}
        assert inspect.run(**options, out=str(tmp_path / "p.png")) == 0
        with Image.open(tmp_path / "p.png") as picture:
            pictures.append(np.asarray(picture))
    assert pictures[0].shape == pictures[1].shape and (pictures[0] != pictures[1]).any()
    trained = load_trained(run_folder)
    cache = open_cache(replace(trained.config.data, stores=(str(scenes / "train.zarr"),)), {})
    (taught,) = [image for image in map(cache.read, range(len(cache))) if image.image_id == "train_000001"]
    expected = pseudo_objects(trained.model, trained.config, taught)
    assert [(p.class_id, p.score, p.box.tolist(), p.mask) for p in drawn[0]] == [
        (p.class_id, p.score, p.box.tolist(), p.mask) for p in expected
    ]
    assert {p.class_id for p in expected} == set(taught.label.nonzero()[:, 0].tolist())


def test_a_contact_sheet(both: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same images every time; a broken one is named and left out."""
    sheets = []
    for name in ("a.png", "b.png"):
        assert inspect.run(store=both, image=None, random=4, out=str(tmp_path / name), data=None) == 0
        sheets.append((tmp_path / name).read_bytes())
    assert sheets[0] == sheets[1]
    assert "4 of 13 images" in capsys.readouterr().out
    (tmp_path / "data/JPEGImages/val_000001.jpg").write_bytes(b"no picture")
    assert inspect.run(store=both, image=None, random=100, out=str(tmp_path / "all.png"), data=None) == 3
    told = capsys.readouterr()
    assert "val_000001.jpg: not an image" in told.err and "12 of 13 images" in told.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x.png"], "one of the two"),
        (["--out", "x.png", "--image", "1", "--random", "2"], "one of the two"),
        (["--out", "x.png", "--random", "0"], "--random"),
        (["--out", "x.png", "--random", "2", "--run", "r"], "for one --image"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(program.cli, ["inspect", *arguments])
    assert result.exit_code == 2 and message in result.output


def seen(*boxes: tuple[int, int, int, int]) -> Evidence:
    """An image of SIZE whose proposals all are seeds; every mask fills its box."""
    box = np.array(boxes, np.float32)
    mask = pack(np.ones((len(box), 56, 56), bool))
    return Evidence(np.full((*SIZE, 3), 128, np.uint8), box, seeds=Seeds(np.arange(len(box), dtype=np.uint16), mask))


WHOLE, LARGE, SMALL = (0, 0, 640, 640), (0, 0, 400, 400), (100, 100, 140, 140)


def test_a_mask_that_fills_the_image_does_not_hide_the_others() -> None:
    assert shown_seeds(seen(WHOLE, SMALL)) == seeded_proposals(seen(WHOLE, SMALL)) == [1]
    assert shown_seeds(seen(WHOLE)) == [0]  # better than nothing
    pixels = np.asarray(seeds_picture(seen(WHOLE, SMALL))).astype(int)
    assert (pixels[500:600, 500:600] == pixels[500, 500]).all() and abs(np.diff(pixels[500, 500])).max() == 0


def test_small_masks_lie_on_large_ones() -> None:
    large, both = (np.asarray(seeds_picture(seen(*boxes))) for boxes in ((LARGE,), (LARGE, SMALL)))
    assert (large[120, 120] != both[120, 120]).any() and (large[300, 300] == both[300, 300]).all()


def test_a_target_is_the_nearest_seed_s_mask_within_the_proposal() -> None:
    evidence = seen(LARGE, SMALL, (110, 110, 160, 160))
    evidence = Evidence(evidence.image, evidence.box, seeds=Seeds(np.array([0, 1], np.uint16), evidence.seeds.mask[:2]))  # type: ignore[union-attr]
    plain = np.asarray(targets_picture(evidence, []))
    taught = np.asarray(targets_picture(evidence, [(2, (255, 0, 0), "")]))
    changed = (plain != taught).any(-1)
    assert changed[112:138, 112:138].all()  # where proposal 2 and seed 1 meet
    assert not changed[145:155, 145:155].any() and not changed[:110].any() and not changed[:, :110].any()


def test_seeds_are_shown_with_their_quality_where_the_store_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path)
    store = open_store(str(tmp_path / "train.zarr"))
    evidence = read_evidence(store, 0, np.zeros((64, 64, 3), np.uint8))
    assert evidence.seeds is not None and len(evidence.seeds.proposal)
    identity = store.identity("grabcut")
    assert identity is not None
    assert read_seed_quality(store, 0) is None  # of version 2
    params = {**identity.params, "method": "colour-cut"}
    store._identities["grabcut"] = replace(identity, version=3, params={**params, "method": "opencv"})
    assert read_seed_quality(store, 0) is None

    def read(self: Store, name: str, row: int) -> np.ndarray:
        return {"grabcut/quality": np.array([0.7, 0.6, 0], np.float16), "grabcut/count": np.int32(2)}[name]  # type: ignore[return-value]

    monkeypatch.setattr(Store, "read", read)
    store._identities["grabcut"] = replace(identity, version=3, params=params)
    found = read_seed_quality(store, 0)
    assert found is not None and found.tolist() == np.array([0.7, 0.6], np.float16).tolist()
    told = replace(evidence, quality=np.full(len(evidence.seeds.proposal), 0.7))
    assert np.asarray(seeds_picture(told)).tobytes() != np.asarray(seeds_picture(evidence)).tobytes()
