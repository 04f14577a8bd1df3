"""What `precompute --summary` writes, and `status --watch` prints."""

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

import cli as program
from benchmarks.engine.toy import first_stage, image_list
from commands import status
from data.scenes import write_scenes
from pipeline.executors.choose import DeferredExecutor
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open
from store.lock import stage_lock
from store.store import open_store

SMALL = ["--set", "proposals.max_proposals=8", "--set", "store.shard=2"]
STAGE = ["precompute", "--stage", "iou-graph", "--workers", "0", *SMALL]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, train=4, val=1, side=64)
    return folder


def call(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(program.cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


def test_a_run_and_one_with_nothing_to_do(data: Path, url: str, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    asked = [*STAGE, "--data", f"voc:{data}", "--split", "train", "--store", url, "--summary", str(path)]
    call(*asked)
    found = json.loads(path.read_text())
    assert (found["format"], found["exit_status"], found["error"]) == (1, 0, None) and found["seconds"] > 0
    ((store, stages),) = [(one["store"], one["stages"]) for one in found["stores"]]
    assert store == url and [stage["stage"] for stage in stages] == ["proposals", "iou-graph"]
    ids = set(open_store(url).listed().ids)
    for stage in stages:
        assert (stage["images"], stage["done"], stage["failed"], stage["upstream"], stage["computed"]) == (
            4,
            4,
            0,
            0,
            4,
        )
        assert {image["image"] for image in stage["slowest"]} == ids
        assert [image["seconds"] for image in stage["slowest"]] == sorted(
            (image["seconds"] for image in stage["slowest"]), reverse=True
        )
        (worker,) = stage["workers"]
        assert worker["images"] == 4 and worker["seconds"] == pytest.approx(stage["work_seconds"], abs=0.01)
        assert stage["worker_ends"] == {} and stage["failures"] == []
        assert stage["storage_retries"] == 0
    call(*asked)
    again = json.loads(path.read_text())["stores"][0]["stages"]
    assert [(stage["done"], stage["computed"], stage["workers"]) for stage in again] == [(4, 0, [])]


def test_a_run_that_is_refused_says_so_there(data: Path, url: str, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    asked = [*STAGE, "--data", f"voc:{data}", "--split", "train", "--store", url, "--summary", str(path)]
    call(*asked)
    with stage_lock(open_store(url).objects, "iou_graph"):
        call(*asked, status=2)
    found = json.loads(path.read_text())
    assert found["exit_status"] == 2 and "is being computed by host" in found["error"]


@pytest.mark.parametrize("name", ["train.txt", "store.zarr/summary.json", ""])
def test_nothing_of_the_users_is_written_over(name: str, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a list of images\n")
    asked = ["--data", "voc:nowhere", "--split", "train", "--store", str(tmp_path / "store.zarr")]
    said = call(*STAGE, *asked, "--images", str(tmp_path / "train.txt"), "--summary", str(tmp_path / name), status=2)
    assert "--summary" in said and (tmp_path / "train.txt").read_text() == "a list of images\n"


def test_ends_of_workers_are_counted(url: str, two_workers: DeferredExecutor) -> None:
    """The kill is tried again, then the image is looked for alone: three workers end at least."""
    images = image_list(8)
    store = create_or_open(url, images, shard=4)
    summary = run_stage(store, images, first_stage(kill=("im00002",)), two_workers)
    assert summary.tally.failed == 1 and sum(summary.ends.values()) >= 3
    assert all("SIGKILL" in words for words in summary.ends)
    assert sum(share.images for share in summary.workers.values()) == 8
    assert run_stage(store, images, first_stage(), two_workers, retry_failed=True).ends == Counter()


def test_status_is_watched_until_nothing_runs(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = image_list(8)
    store = create_or_open(url, images, shard=4)
    run_stage(store, images, first_stage(), SerialExecutor(), image_range=(0, 4))
    lock = stage_lock(store.objects, "toy")
    lock.__enter__()
    waited = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            lock.__exit__(None, None, None)

    monkeypatch.setattr("commands.status.time.sleep", wait)
    assert status.run(store=[url], watch=7.0) == 0
    said = capsys.readouterr().out
    assert waited == [7.0] * 3 and said.count("toy: running on host") == 2 and said.endswith("no stage is running\n")
    assert "slowest images: im0000" in said
    assert "--watch: shows tables" in call("status", "--store", url, "--watch", "--json", status=2)
