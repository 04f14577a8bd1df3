"""One store for training and evaluation images of a plain folder: each command takes the rows it needs."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import cli as program
from commands import evaluate, train
from data.catalog import load_images
from data.errors import InputError
from data.scenes import write_scenes
from pdsl.cache import open_cache
from pdsl.config.load import load_config
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open
from store.store import open_store
from tests.train.makers import stages
from tests.train.test_pictures import pictures_of
from tests.train.test_resume import assert_same_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/ with 6 images to learn from and 4 others; both.zarr, with graph and seeds of the former alone, and
    train.zarr."""
    folder = tmp_path_factory.mktemp("one")
    write_scenes(folder / "scenes", train=6, val=4, side=64, seed=1)
    rows, held = [], []
    (folder / "photos/images").mkdir(parents=True)
    for split in ("val", "train"):  # as they come, those for evaluation first
        scenes = load_images(f"voc:{folder / 'scenes'}", split)
        for record in scenes.records:
            name = f"{record.id}.png"
            (folder / "photos/images" / name).write_bytes(Path(record.path).read_bytes())
            rows.append(f"{name},{';'.join(scenes.class_names[c] for c in record.label)}")
            held += [record.id] if split == "val" else []
    (folder / "photos/labels.csv").write_text("\n".join(["image,labels", *rows]) + "\n")
    (folder / "photos/classes.txt").write_text("\n".join(scenes.class_names) + "\n")
    (folder / "photos/held.txt").write_text("\n".join(held) + "\n")
    for split, name, learnt in (("train+val", "both", 6), ("train", "train", 6)):
        images = load_images(spec(folder), split)
        store = create_or_open(str(folder / f"{name}.zarr"), images, shard=3)
        first, *others = stages()
        run_stage(store, images, first, SerialExecutor())
        for stage in others:
            run_stage(store, images, stage, SerialExecutor(), image_range=(0, learnt))
    return folder


def spec(folder: Path) -> str:
    return f"folder:{folder / 'photos'}?val=held.txt"


def learn(folder: Path, config: str, store: str, out: Path, *overrides: str, split: str | None = None) -> int:
    url = str(folder / f"{store}.zarr")
    return train.run(
        config=config, stores=[url], out=str(out), resume=False, init=None, overrides=list(overrides), data=None,
        split=split,
    )  # fmt: skip


def test_training_takes_the_rows_of_its_split_with_the_same_bits(folder: Path, config: str, tmp_path: Path) -> None:
    assert learn(folder, config, "train", tmp_path / "alone") == 0
    figures = ("validation.every=4", f"validation.store={folder / 'both.zarr'}", "validation.split=val")
    assert learn(folder, config, "both", tmp_path / "part", *figures, split="train") == 0
    assert_same_weights(tmp_path / "alone", tmp_path / "part")
    entries = [json.loads(line) for line in (tmp_path / "part/log.jsonl").read_text().splitlines()]
    told = [entry["validation"] for entry in entries if "validation" in entry]
    assert [(t["images"], t["box"]["AP"]) for t in told] == [(4, None)] * 2 and told[-1]["image"]["mAP"] > 0
    drawn = pictures_of(tmp_path / "part")
    learnt = {record.id for record in load_images(spec(folder), "train").records}
    assert len(drawn) == 4 and set(drawn) <= learnt and all(list(found) == [0, 4, 8] for found in drawn.values())


def test_all_of_it_is_not_there_to_learn_from(folder: Path, config: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"both.zarr: iou_graph: 4 of 10 images not computed"):
        learn(folder, config, "both", tmp_path / "run")
    with pytest.raises(InputError, match="no split 'trian'; did you mean 'train'"):
        learn(folder, config, "both", tmp_path / "run", split="trian")


def test_a_part_and_its_own_store_are_the_same_training_set(folder: Path, config: str) -> None:
    data = load_config(config).data
    alone = open_cache(replace(data, stores=(str(folder / "train.zarr"),)), {})
    part = open_cache(replace(data, stores=(str(folder / "both.zarr"),), split="train"), {})
    assert alone.digests() == part.digests() and alone.label_digest() == part.label_digest()
    assert [alone.read(i).image_id for i in range(len(alone))] == [part.read(i).image_id for i in range(len(part))]


def test_evaluation_by_labels_alone(
    folder: Path, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert learn(folder, config, "both", run, split="train") == 0
    given = {"run": str(run), "data": spec(folder), "store": str(folder / "both.zarr"), "results": None, "tta": False}
    assert evaluate.run(**given, split="val", out=None) in (0, 3)
    said = capsys.readouterr().out
    assert "image AP" in said and "by image-level labels: mAP" in said and "VOC:" not in said
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["protocol"] is None and metrics["box"]["AP"] is None and metrics["images"] == 4
    labelled = load_images(spec(folder), "val").label_matrix().sum(0)
    counts = {name: figures["images"] for name, figures in metrics["image"]["per_class"].items()}
    names = load_images(spec(folder), "val").class_names
    assert {name: int(n) for name, n in zip(names, labelled, strict=True) if n}.items() <= counts.items()
    page = (run / "report.html").read_text()
    assert "By image-level labels." in page and "What it learns from" in page and "CorLoc" not in page
    again = given | {"run": None, "store": None, "results": str(run / "predictions.json")}
    assert evaluate.run(**again, split="val", out=str(tmp_path / "again")) == 0
    assert json.loads((tmp_path / "again/metrics.json").read_text())["image"] == metrics["image"]
    with pytest.raises(InputError, match=r"--protocol coco: says which objects count"):
        evaluate.run(**given, split="val", out=None, protocol="coco")
    alone = given | {"store": str(folder / "train.zarr")}
    with pytest.raises(InputError, match=r"val: 4 of 4 images are not in the store .*train.zarr \(of split 'train'\)"):
        evaluate.run(**alone, split="val", out=None)


def test_overwriting_and_status_leave_evaluation_images_their_proposals(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Graph and seeds go as far as the training images do, however often they are made."""
    shutil.copytree(folder / "photos", tmp_path / "photos")
    (tmp_path / "pdsl.yaml").write_text(
        "data: folder:photos?val=held.txt\ntrain_split: train\nval_split: val\nstores: {train: a.zarr, val: a.zarr}\n"
        "stages: {store: {shard: 3}, proposals: {method: selective-search, max_proposals: 20}}\n"
    )
    monkeypatch.chdir(tmp_path)
    for line in (
        "precompute --stage all --workers 0",
        "precompute --stage all --workers 0 --overwrite",
        "precompute --stage iou-graph --workers 0 --overwrite --set iou-graph.neighbors=5",
    ):
        done = CliRunner().invoke(program.cli, line.split())
        assert done.exit_code == 0, done.output + done.stderr
        assert ("next: pdsl inspect --random" in done.stderr) is ("--stage all" in line)
        store = open_store("a.zarr")
        assert store.status("proposals").tolist() == [1] * 10
        assert store.status("iou_graph").tolist() == [1] * 6 + [0] * 4
    told = json.loads(CliRunner().invoke(program.cli, ["status", "--json"]).stdout)["stores"]
    graph = told[0]["stages"][1]
    assert (graph["stage"], graph["images"], graph["pending"]) == ("iou-graph", 6, 0)
    alone = json.loads(CliRunner().invoke(program.cli, ["status", "--json", "--store", "a.zarr"]).stdout)
    assert [alone["stages"][1][name] for name in ("images", "pending", "not_begun")] == [6, 0, 4]
    (tmp_path / "photos/held.txt").unlink()  # what belongs to whom can not be told
    alone = json.loads(CliRunner().invoke(program.cli, ["status", "--json", "--store", "a.zarr"]).stdout)
    assert [alone["stages"][1][name] for name in ("images", "pending", "not_begun")] == [10, 4, 0]
