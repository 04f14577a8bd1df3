"""`predict`: what it writes for images of anybody's, in which ids, and what it does when something breaks."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from commands import image_stages, predict
from commands.image_stages import proposal_stage
from data.catalog import load_images
from data.errors import InputError
from pdsl.evaluate import photo_results
from pdsl.evaluate.photo_results import image_ids
from pdsl.evaluate.results import read_results
from pdsl.run.checkpoint import load_checkpoint, save_checkpoint
from pdsl.run.trained import load_trained
from stages.registry import build_stage
from store.create import create_or_open
from tests.train.makers import stages


@pytest.fixture(autouse=True)
def proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_stages, "proposal_stage", lambda trained, method: stages()[0])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five photographs of 60 x 40; number 3 is broken."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(folder / f"00{number}.jpg")
    (folder / "003.jpg").write_bytes(b"no picture")
    return folder


def run(run_folder: Path, images: list[Any], out: Path, **options: Any) -> int:
    return predict.run(run=str(run_folder), images=[str(image) for image in images], out=str(out), **options)


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((out / "predictions.json").read_text())
    return rows


def test_goes_on_after_a_broken_file(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """EXIF orientation 6 turns a 60 x 40 picture upright: 40 x 60."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40), (90, 160, 90)).save(tmp_path / "good.jpg", exif=exif)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    files = [tmp_path / name for name in ("bad.jpg", "good.jpg", "missing.jpg")]
    assert run(run_folder, files, tmp_path / "out") == 3
    said = capsys.readouterr().err
    assert "bad.jpg: not an image" in said and "missing.jpg: file not found" in said
    with Image.open(tmp_path / "out" / "good.png") as picture:
        assert picture.height == 1.5 * picture.width
    rows = rows_of(tmp_path / "out")
    assert rows and {row["image_id"] for row in rows} == {"good"}
    assert rows[0]["segmentation"]["size"] == [60, 40]


def test_a_folder_and_the_files_that_tell_other_programs(run_folder: Path, photos: Path, tmp_path: Path) -> None:
    """VOC's ids stay text; pycocotools reads the results over the images and names every class."""
    out = tmp_path / "out"
    assert run(run_folder, [photos], out) == 3
    assert {path.name for path in out.iterdir()} == {
        "predictions.json",
        "images.json",
        *(f"00{number}.png" for number in (0, 1, 2, 4)),
    }
    names = load_trained(run_folder).class_names
    coco = COCO(str(out / "images.json"))
    assert [image["file_name"] for image in coco.dataset["images"]] == ["000.jpg", "001.jpg", "002.jpg", "004.jpg"]
    found = coco.loadRes(str(out / "predictions.json"))
    assert len(found.anns) > 50 and {c["name"] for c in found.dataset["categories"]} == set(names)
    for row in rows_of(out):
        assert row["file_name"] == f"{row['image_id']}.jpg"
        assert coco.cats[row["category_id"]]["name"] == row["category_name"]
    before = rows_of(out)
    assert run(run_folder, [tmp_path / "photos", out], out) == 3  # our own pictures are no images to look at
    assert rows_of(out) == before
    with pytest.raises(InputError, match="holds only pictures that `predict` drew"):
        run(run_folder, [out], out)
    assert rows_of(out) == before


def test_where_nothing_is_sure_enough_the_best_is_told(
    run_folder: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An untrained model: no class stands out of seven."""
    files = [photos / "000.jpg", photos / "001.jpg"]
    assert run(run_folder, files, tmp_path / "out", score=0.9) == 0
    said = capsys.readouterr().err
    assert "no detection scores 0.9 or more, so none is drawn; the best: " in said and "draws more" in said
    assert run(run_folder, files, tmp_path / "all") == 0
    best = max(rows_of(tmp_path / "all"), key=lambda row: row["score"])
    assert f"{best['category_name']} {best['score']:.2g} in {best['image_id']}" in said
    capsys.readouterr()
    assert run(run_folder, files, tmp_path / "some", score=best["score"] * 0.9) == 0
    assert "none is drawn" not in capsys.readouterr().err


def test_eval_reads_them_as_those_of_the_data_set(scenes: Path, run_folder: Path, tmp_path: Path) -> None:
    images = load_images(f"voc:{scenes / 'data'}", "train")
    assert run(run_folder, [record.path for record in images.records[:2]], tmp_path / "out", device="cpu") == 0
    found = read_results(tmp_path / "out" / "predictions.json", images)
    assert {p.image_id for p in found} == {record.id for record in images.records[:2]}


@pytest.mark.parametrize(
    ("spec", "names", "ids"),
    [
        ("coco:COCO", ["000000536038", "000000000139"], ["536038", "139"]),
        ("coco:COCO", ["000000536038", "holiday"], ["000000536038", "holiday"]),
        ("coco:COCO", ["01", "1"], ["01", "1"]),  # one number twice
        ("voc:VOC2007", ["000017"], ["000017"]),
        ("", ["000017"], ["000017"]),
    ],
)
def test_ids_are_the_data_sets(spec: str, names: list[str], ids: list[str]) -> None:
    assert image_ids(names, spec) == ids


def test_category_ids_are_the_data_sets(scenes: Path, run_folder: Path, photos: Path, tmp_path: Path) -> None:
    """By the checkpoint, whose stores may be gone; classes that the run renamed and dropped keep their ids."""
    names = list(load_trained(run_folder).class_names)
    checkpoint = load_checkpoint(run_folder)
    checkpoint["data_set"] = {
        "spec": "coco:COCO",
        "class_names": ["dropped", *names[1:], "first"],
        "category_ids": [7, *range(20, 20 + len(names) - 1), 90],
    }
    checkpoint["config"]["classes"] = {"first": names[0], "dropped": None}
    save_checkpoint(run_folder, checkpoint)
    assert run(run_folder, [photos / "000.jpg", photos / "001.jpg"], tmp_path / "out") == 0
    told = {row["category_id"]: row["category_name"] for row in rows_of(tmp_path / "out")}
    assert told.items() <= dict(zip([90, *range(20, 20 + len(names) - 1)], names, strict=True)).items()
    assert {row["image_id"] for row in rows_of(tmp_path / "out")} == {0, 1}


def test_another_data_set_where_the_store_was(scenes: Path, run_folder: Path, tmp_path: Path) -> None:
    """An earlier version's checkpoint, which says nothing itself: its classes are counted, nothing is guessed."""
    trained = load_trained(run_folder)
    images = load_images(f"voc:{scenes / 'data'}", "train")
    assert photo_results.data_set_of(trained) == (images.spec, images.category_ids)
    other = replace(images, class_names=("x", *images.class_names[1:]))
    create_or_open(str(tmp_path / "other.zarr"), other)
    object.__setattr__(trained.config.data, "stores", (str(tmp_path / "other.zarr"),))
    assert photo_results.data_set_of(trained) == ("", tuple(range(1, len(images.class_names) + 1)))


def test_score_and_top(run_folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn below the threshold, and given thresholds hold for the results as well."""
    drawn: list[list[float]] = []
    picture = predict.prediction_picture

    def spy(pixels: np.ndarray, predictions: list[Any], *rest: Any) -> Image.Image:
        drawn.append([p.score for p in predictions])
        return picture(pixels, predictions, *rest)

    monkeypatch.setattr(predict, "prediction_picture", spy)
    file = [photos / "000.jpg"]
    run(run_folder, file, tmp_path / "all")
    scores = sorted((row["score"] for row in rows_of(tmp_path / "all")), reverse=True)
    assert len(scores) > 10 and drawn.pop() == [s for s in scores if s >= 0.3][:12]
    run(run_folder, file, tmp_path / "none", score=1.0)
    assert rows_of(tmp_path / "none") == [] and drawn.pop() == [] and (tmp_path / "none/000.png").exists()
    run(run_folder, file, tmp_path / "some", score=scores[4], top=3)
    assert [row["score"] for row in rows_of(tmp_path / "some")] == drawn.pop() == scores[:3]
    run(run_folder, file, tmp_path / "most", score=0.0, top=100)
    assert len(drawn.pop()) == len(scores)


def no_space(*failing: str) -> Callable[..., Any]:
    """A stand-in for a writer that fails for files with one of these endings."""

    def check(path: Path) -> None:
        if str(path).endswith(failing):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    return check


def test_a_full_disk_costs_pictures_but_no_detections(
    run_folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check, save = no_space("001.png"), predict.save_picture
    monkeypatch.setattr(predict, "save_picture", lambda image, path: (check(path), save(image, path)))
    (photos / "003.jpg").unlink()
    assert run(run_folder, [photos], tmp_path / "out") == 3
    assert "001.png: no space left" in capsys.readouterr().err
    assert {row["image_id"] for row in rows_of(tmp_path / "out")} == {"000", "001", "002", "004"}
    assert (tmp_path / "out/002.png").exists() and not (tmp_path / "out/001.png").exists()


def test_where_nothing_fits_any_more_it_ends_with_what_was_saved(
    run_folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for constant in ("SAVE_SECONDS", "SAVE_RATIO"):  # save after every image
        monkeypatch.setattr(photo_results, constant, 0)
    save, write = predict.save_picture, photo_results.write_json
    full: list[str] = []

    def saved(image: Image.Image, path: Path) -> None:
        if path.name == "002.png":
            full.append("now")
        no_space(*([".png"] if full else ["-"]))(path)
        save(image, path)

    def written(path: Path, value: Any) -> None:
        no_space(*([".json"] if full else ["-"]))(path)
        write(path, value)

    monkeypatch.setattr(predict, "save_picture", saved)
    monkeypatch.setattr(photo_results, "write_json", written)
    with pytest.raises(OSError, match="No space left"):
        run(run_folder, [photos], tmp_path / "out")
    assert {row["image_id"] for row in rows_of(tmp_path / "out")} == {"000", "001"}
    assert "out: has the detections of 2 of 5 images" in capsys.readouterr().err


def test_interrupted_it_keeps_what_it_found(
    run_folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, seen = predict.predict_one, []

    def interrupted(*given: Any) -> Any:
        seen.append(given)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return look(*given)

    monkeypatch.setattr(predict, "predict_one", interrupted)
    assert run(run_folder, [photos], tmp_path / "out") == 130
    assert {row["image_id"] for row in rows_of(tmp_path / "out")} == {"000"}


def test_cuda_is_not_promised(run_folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="--device cuda: torch finds no CUDA"):
        run(run_folder, [photos], tmp_path / "out", device="cuda")
    assert not (tmp_path / "out").exists()


def test_a_recipe_of_another_version_is_told_as_that(run_folder: Path) -> None:
    trained = load_trained(run_folder)
    odd = replace(trained, proposals={"params": {"method": "mcg", "sieve": 3}, "source_path": None})
    with pytest.raises(InputError, match=r"another version of the stage \(unknown key 'proposals.sieve'.*--proposals"):
        proposal_stage(odd)


def test_seeds_whose_parameters_this_version_does_not_know(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which seeds, as in the training; how they are made, by this version's defaults, and the user is told."""
    made = build_stage("proposals", {"max_proposals": 24})
    monkeypatch.setattr(image_stages, "proposal_stage", lambda trained, method: made)
    trained = load_trained(run_folder)
    blending = replace(trained.config, inference=replace(trained.config.inference, seed_weight=0.4))
    for cut, told, bias in (({"bias": 0.9}, False, True), ({"bias": 0.9, "smoothness": 0.4}, True, False)):
        recipe = {"grabcut": {"method": "colour-cut", "seeds": "all", "colour_cut": cut}}
        own = image_stages.image_stages(replace(trained, seeds=recipe, config=blending)).seeds[-1].plain_params()
        said = capsys.readouterr().err
        assert own["seeds"] == "all" and (own["colour_cut"]["bias"] == 0.9) is bias
        assert ("another version of the stage (unknown key 'grabcut.colour_cut.smoothness')" in said) is told
