"""precompute, status and verify as the command line calls them, on image files and the real stages."""

import json
import os
import re
from pathlib import Path

import pytest

from commands import precompute, status, verify
from commands.interrupt import signals_as_exceptions
from data.errors import InputError
from data.scenes import write_scenes
from stages.registry import STAGE_NAMES
from store.images import HOW_TOLD_APART
from store.store import open_store

SETTINGS = {
    "proposals": {"method": "selective-search", "mode": "fast", "max_proposals": 40, "side": 120},
    "iou_graph": {"neighbors": 8},
    "grabcut": {"opencv": {"iterations": 1, "long_side": 100}},
    "store": {"shard": 4},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, train=10, val=2, side=96)
    return f"voc:{folder}"


def precomputed(data: str, url: str, **options: object) -> int:
    given = {"split": "train", "stage": "all", "workers": 0, "settings": SETTINGS, **options}
    return precompute.run(data=data, store=url, **given)  # type: ignore[arg-type]


def test_all_stages_then_status_verify_and_repair(data: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert precomputed(data, url) == 0
    assert "grabcut: 10 of 10 images done; 10 computed" in capsys.readouterr().out
    assert precomputed(data, url) == 0
    told = capsys.readouterr()
    assert told.out.count("nothing to do") == 3
    assert HOW_TOLD_APART in told.err  # whoever replaced an image by one of its size looks here
    open_store(url).require("proposals", "iou_graph", "grabcut")
    assert status.run(store=url, json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert [stage["stage"] for stage in found["stages"]] == list(STAGE_NAMES)
    keys = "stage images done failed upstream reasons stale running seconds_per_image images_per_second seconds_left"
    keys += " bytes parameters pending not_begun workers silent slowest"
    assert list(found["stages"][0]) == keys.split()
    assert [(stage["done"], stage["pending"], stage["stale"]) for stage in found["stages"]] == [(10, 0, None)] * 3
    assert status.run(store=url) == 0
    table = capsys.readouterr().out
    assert "complete" in table and table.endswith(f"{HOW_TOLD_APART}\n")
    assert verify.run(store=url) == 0
    shard = Path(url) / "grabcut/mask/c/1/0/0/0"
    before = shard.read_bytes()
    shard.unlink()
    assert verify.run(store=url) == 3
    assert "grabcut/mask: images 4:8: shard grabcut/mask/c/1/0/0/0: missing" in capsys.readouterr().out
    assert verify.run(store=url, repair=True) == 0
    assert "grabcut: 4 images computed again" in capsys.readouterr().out and shard.read_bytes() == before


def test_images_that_are_not_in_the_store_yet(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They stop neither `status` nor a repair; what trains or looks at all images names the cure."""
    write_scenes(tmp_path / "data", train=4, val=1, side=64)
    data, path = f"voc:{tmp_path / 'data'}", tmp_path / "data/ImageSets/Main/train.txt"
    listed = path.read_text()
    path.write_text("".join(listed.splitlines(keepends=True)[:3]))
    assert precomputed(data, url, stage="proposals") == 0
    path.write_text(listed)
    capsys.readouterr()
    assert status.run(store=url) == 0
    assert "images: 1 of the data set are not in the store yet; precompute adds them" in capsys.readouterr().out
    assert status.run(store=url, json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["images_not_in_store"], report["labels_unchecked"], report["label_changes"]) == (1, None, [])
    for key in ("proposals/box/c/0/0/0", "images/id/c/0", "images/label/c/0/0"):
        (Path(url) / key).unlink()
        assert verify.run(store=url, repair=True) == 0, key
    assert precomputed(data, url, stage="proposals") == 0
    assert len(open_store(url)) == 4


def as_older_programs_stored_it(url: str, group: str, proposals_from: str | None) -> None:
    """With a recipe (settings, path of the proposals, capacity) instead of the path alone."""
    document = Path(url) / group / "zarr.json"
    values = json.loads(document.read_text())
    for newer in ("checksum", "documents"):
        values["attributes"].pop(newer, None)
    values["attributes"]["recipe"] = {"settings": {}, "proposals_from": proposals_from, "capacity": 40}
    del values["attributes"]["source_path"]
    document.write_text(json.dumps(values))


def test_stages_of_older_stores_and_of_files_are_made_again(
    data: str, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    precomputed(data, url, stage="proposals")
    monkeypatch.chdir(tmp_path)
    again = str(tmp_path / "again.zarr")
    wanted = {"settings": {"proposals": {"max_proposals": 40}, "store": {"shard": 4}}}
    assert precomputed(data, again, proposals_from=Path(url).name, **wanted) == 0
    assert open_store(again).identity("proposals").source_path == url  # type: ignore[union-attr]
    for group in ("proposals", "iou_graph"):
        as_older_programs_stored_it(again, group, url if group == "proposals" else None)
    (Path(again) / "proposals/box/c/1/0/0").unlink()
    (Path(again) / "iou_graph/iou/c/0/0/0").unlink()
    capsys.readouterr()
    assert verify.run(store=again, repair=True) == 0
    assert "proposals: 4 images computed again\niou-graph: 4 images computed again" in capsys.readouterr().out
    as_older_programs_stored_it(again, "proposals", url)
    assert precomputed(data, again, stage="grabcut", settings={}) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_missing_upstream_stages_run_first(data: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert precomputed(data, url, stage="grabcut", images="5:6") == 0
    said = capsys.readouterr()
    assert "needs 'proposals': running it first" in said.err and "widened to whole shards: 4:8" in said.err
    store = open_store(url)
    assert store.status("proposals").tolist() == store.status("grabcut").tolist() == [0] * 4 + [1] * 4 + [0] * 2
    other = {"proposals": {"method": "selective-search", "mode": "fast", "max_proposals": 41}}
    with pytest.raises(
        InputError, match=r"'proposals' was run differently: .*params\.max_proposals: 40 stored, 41 now"
    ):
        precomputed(data, url, stage="grabcut", images="5:6", settings=other)
    assert precomputed(data, url, stage="iou_graph", settings={"iou-graph": {"neighbors": 8}}) == 0
    assert open_store(url).identity("proposals") == store.identity("proposals")


def test_changed_settings_are_refused(data: str, url: str) -> None:
    precomputed(data, url, stage="proposals")
    fewer = {**SETTINGS, "proposals": {**SETTINGS["proposals"], "max_proposals": 30}}  # type: ignore[dict-item]
    with pytest.raises(InputError, match=r"params\.max_proposals: 40 stored, 30 now; --overwrite"):
        precomputed(data, url, stage="proposals", settings=fewer)
    with pytest.raises(InputError, match=r"store\.shard: 4 stored, 8 now"):
        precomputed(data, url, settings={**SETTINGS, "store": {"shard": 8}})
    assert precomputed(data, url, stage="proposals", settings=fewer, overwrite=True) == 0
    assert open_store(url).layout("proposals/box").row_shape == (30, 4)


def test_a_broken_image_gives_exit_status_3(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_scenes(tmp_path / "data", train=5, val=1, side=64)
    broken = sorted((tmp_path / "data").rglob("*.jpg"))[0]
    whole = broken.read_bytes()
    data = f"voc:{tmp_path / 'data'}"
    assert precomputed(data, url, stage="proposals", images="4:5") == 0
    broken.write_bytes(whole[: len(whole) // 3])
    assert precomputed(data, url) == 3
    said = capsys.readouterr().out
    assert "1 failed" in said and "1 without their upstream stage" in said and "--retry-failed" in said
    assert precomputed(data, url, stage="grabcut") == 0
    assert status.run(store=url) == 0
    broken.write_bytes(whole)
    assert precomputed(data, url, retry_failed=True) == 0
    open_store(url).require("grabcut")
    assert (open_store(url).status("grabcut") == 1).all()


def test_an_image_of_another_size_is_refused_with_the_cure(tmp_path: Path, url: str) -> None:
    write_scenes(tmp_path / "data", train=4, val=2, side=96)
    data, wanted = f"voc:{tmp_path / 'data'}", {"settings": {"proposals": SETTINGS["proposals"]}}
    assert precomputed(data, url, stage="proposals", **wanted) == 0
    write_scenes(tmp_path / "larger", train=4, val=2, side=120)
    moved = f"voc:{tmp_path / 'larger'}"
    with pytest.raises(InputError, match=r"have another size .* or --overwrite to delete this one"):
        precomputed(moved, url, stage="proposals", **wanted)
    assert precomputed(moved, url, overwrite=True) == 0
    assert open_store(url).listed().sizes.max() == 120


def test_dry_run_writes_nothing(data: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert precomputed(data, url, dry_run=True) == 0
    said = capsys.readouterr().out
    assert f"{url}: {data} train, 10 images" in said
    assert "core-hours" in said and all(name in said for name in STAGE_NAMES) and "        10" in said
    assert "authors" not in said and not Path(url).exists()


def test_dry_run_of_the_authors_setting_tells_what_the_default_costs(
    data: str, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.cost.SAMPLE", 2)
    monkeypatch.setattr("stages.grabcut.stage.MEASURED_BOXES", 2)
    quick = {"iterations": 1, "long_side": 60}
    chosen = {**SETTINGS, "grabcut": {"method": "opencv", "seeds": "all", "opencv": quick}}
    assert precomputed(data, url, dry_run=True, settings=chosen) == 0
    said = capsys.readouterr().out
    assert re.search(r"images, 0\.\d+ of the seeds of each", said)
    found = re.search(r"authors' setting, box by box: (\S+) core-hours\. The default .* takes (\S+) and", said)
    assert found and float(found[1]) > 0 and float(found[2]) > 0


def test_an_interruption_says_how_to_go_on(
    data: str, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipeline.executors.serial as serial

    real, calls = serial.run_shard, [0]

    def interrupted(*arguments: object) -> object:
        calls[0] += 1
        if calls[0] == 2:
            os.kill(os.getpid(), 15)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(serial, "run_shard", interrupted)
    with signals_as_exceptions():
        assert precomputed(data, url, stage="proposals") == 143
    assert "Run the same command again to continue" in capsys.readouterr().err
    assert open_store(url).status("proposals").tolist() == [1] * 4 + [0] * 6
    assert precomputed(data, url, stage="proposals") == 0


def test_an_interruption_ends_all_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the training store is made does not go on with the one for evaluation."""
    begun = []
    monkeypatch.setattr(precompute, "run", lambda *, status: begun.append(status) or status)
    assert precompute.run_all([{"status": 3}, {"status": 143}, {"status": 0}]) == 143
    assert begun == [3, 143]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage": "grabcutt"}, "unknown stage 'grabcutt'.*grabcut"),
        ({"images": "7:3"}, "--images 7:3: expected A:B"),
        ({"images": "3"}, "--images 3: expected A:B"),
        ({"images": "10:"}, "--images 10:"),
        ({"workers": -1}, "--workers -1"),
        ({"workers": None, "scheduler": "tcp://x", "cluster": "y"}, "exclude each other"),
        ({"settings": {"proposals": 3}}, "--set proposals: expected STAGE"),
        ({"settings": {"store": {"shards": 3}}}, "unknown key 'store.shards'; did you mean 'shard'"),
        ({"settings": {"proposal": {"method": "files"}}}, "unknown stage 'proposal'"),
        ({"stage": "all", "settings": {"grabcut": {"sedes": "all"}}}, "'grabcut.sedes'; did you mean 'seeds'"),
        ({"stage": "all", "settings": {"iou_graph": {"neighbors": "x"}}}, "neighbors: 'x' is not of type int"),
        ({"stage": "proposals", "settings": {"proposals": {"max_proposal": 9}}}, "did you mean 'max_proposals'"),
        ({"workers": None, "cluster": "nowhere.yaml"}, "--cluster nowhere.yaml: can not be read"),
        ({"data": None}, "--data and --split"),
    ],
)
def test_wrong_usage_is_named(data: str, url: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        precomputed(**{"data": data, "url": url, **options})  # type: ignore[arg-type]
    assert not Path(url).exists()


def test_one_store_for_two_splits(data: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Proposals of all, graph and seeds of what is learnt from; then of the rest, by the name of its split. Images of a
    split for which a stage was not begun are not waited for."""
    settings = {**SETTINGS, "store": {"shard": 5}}
    assert precomputed(data, url, split="train+val", learnt_from="train", settings=settings) == 0
    said = capsys.readouterr()
    assert f"{url}: {data} train+val, 12 images" in said.err and "widened" not in said.err
    assert f"{url}: proposals: 12 of 12 images done" in said.out and f"{url}: grabcut: 10 of 10 images" in said.out
    store = open_store(url)
    assert store.attributes["split"] == "train+val"
    assert [store.status(group).tolist().count(1) for group in ("proposals", "iou_graph", "grabcut")] == [12, 10, 10]
    assert status.run(store=url, json=True) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert [(stage["pending"], stage["not_begun"]) for stage in stages] == [(0, 0), (0, 2), (0, 2)]
    assert status.run(store=url) == 0
    assert "grabcut: not begun for 2 other images" in capsys.readouterr().out
    assert precomputed(data, url, split="val", stage="iou-graph", settings=settings) == 0
    said = capsys.readouterr()
    assert f"{url}: iou-graph: 2 of 2 images done" in said.out and "12 images; of these val, 2 images" in said.err
    status.run(store=url, json=True)
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert [(stage["images"], stage["pending"]) for stage in stages] == [(12, 0), (12, 0), (10, 0)]
    store = open_store(url)
    assert [store.status(group).tolist().count(1) for group in ("iou_graph", "grabcut")] == [12, 10]
    with pytest.raises(InputError, match=r"--images 0:5: counts those of .*, which holds more than 'val'"):
        precomputed(data, url, split="val", images="0:5", settings=settings)


def test_a_store_of_one_split_takes_the_other_in(data: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert precomputed(data, url, stage="proposals") == 0
    capsys.readouterr()
    assert precomputed(data, url, split="train+val", stage="proposals") == 0
    assert "12 of 12 images done; 2 computed" in capsys.readouterr().out
