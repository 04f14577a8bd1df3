"""`--part I/N`: disjoint parts that are all shards, computed by runs that know nothing of each other."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.engine.s3 import BUCKET, s3_server
from benchmarks.engine.toy import chunk_bytes, first_stage, image_list, second_stage
from commands.image_choice import parse_part
from data.errors import InputError
from data.records import ImageList
from pipeline.chain import Chain
from pipeline.executors.serial import SerialExecutor
from pipeline.plan import part_of
from pipeline.runner import RunSummary, run_stage
from pipeline.spec import Stage
from store.create import create_or_open
from store.lock import LockedError, live_locks, stage_lock
from store.status import stage_status
from store.store import Store, open_store
from store.verify import verify_store

IMAGES = image_list(70)


def build(name: str, store: Store) -> Stage:
    return first_stage(seconds=0.002) if name == "toy" else second_stage()


def run_part(url: str, i: int, n: int, images: ImageList = IMAGES) -> list[RunSummary]:
    """As one element of an array does, with both stages."""
    store = create_or_open(url, images, shard=4, patient=True)
    return list(Chain(["toy", "toy-sum"], [], build, part=(i, n)).run(store, images, SerialExecutor()))


def reference(folder: Path) -> dict[str, bytes]:
    store = create_or_open(str(folder), IMAGES, shard=4)
    for stage in (first_stage(), second_stage()):
        run_stage(store, IMAGES, stage, SerialExecutor())
    return chunk_bytes(folder)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 600))
def test_parts_are_disjoint_and_cover_all(first: int, count: int, n: int) -> None:
    parts = [part_of((first, first + count), (i, n)) for i in range(1, n + 1)]
    assert [k for a, b in parts for k in range(a, b)] == list(range(first, first + count))
    sizes = [b - a for a, b in parts]
    assert max(sizes) - min(sizes) <= 1


def test_what_is_no_part_is_refused() -> None:
    assert parse_part("1/1") == (1, 1) and parse_part("64/64") == (64, 64)
    for text in ("0/4", "5/4", "1", "/", "a/b", "1/4/2", "-1/4", "1.0/4", "\u00b2/4", "1/99999999999"):
        with pytest.raises(InputError, match="expected I/N with 1 <= I <= N"):
            parse_part(text)
    with pytest.raises(InputError, match=r"--part 1/2: not together with --dry-run"):
        parse_part("1/2", images=None, dry_run=True)


def test_all_at_once_on_a_store_that_is_not_there_yet(tmp_path: Path) -> None:
    """The first to come makes it, the others wait for it; the bytes are those of one run."""
    url, summaries = str(tmp_path / "parts.zarr"), []
    threads = [threading.Thread(target=lambda i=i: summaries.extend(run_part(url, i, 5))) for i in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(summary.computed.done for summary in summaries) == 2 * 70
    assert chunk_bytes(Path(url)) == reference(tmp_path / "whole.zarr")
    assert not verify_store(open_store(url)).damage and not list(Path(url).rglob("*lock*"))


def test_a_part_that_ended_early_is_run_again_alone(tmp_path: Path) -> None:
    url = str(tmp_path / "parts.zarr")
    assert [summary.computed.images for summary in run_part(url, 1, 3)] == [24, 24]
    assert [summary.computed.images for summary in run_part(url, 3, 3)] == [22, 22]
    assert stage_status(open_store(url), "toy").pending == 24
    assert [summary.computed.images for summary in run_part(url, 2, 3)] == [24, 24]
    assert [summary.computed.images for summary in run_part(url, 2, 3)] == [0, 0]
    assert chunk_bytes(Path(url)) == reference(tmp_path / "whole.zarr")


def test_more_parts_than_shards(tmp_path: Path) -> None:
    url = str(tmp_path / "parts.zarr")
    done = [[summary.computed.images for summary in run_part(url, i, 40)] for i in range(1, 41)]
    assert done.count([]) == 22 and sum(map(sum, done)) == 140


def test_who_holds_a_part_keeps_out_who_wants_any_of_it(url: str) -> None:
    store = create_or_open(url, IMAGES, shard=4)
    with stage_lock(store.objects, "toy", (0, 6)), stage_lock(store.objects, "toy", (6, 9)):
        assert list(live_locks(store.objects, "toy")) in ([(0, 6), (6, 9)], [(6, 9), (0, 6)])
        with pytest.raises(LockedError, match=r"\(shards 0 to 5\); .*remove toy/lock-0-6\.json"):
            run_stage(store, IMAGES, first_stage(), SerialExecutor())
        with pytest.raises(LockedError):
            run_stage(store, IMAGES, first_stage(), SerialExecutor(), image_range=(20, 28), shared=True)
        run_stage(store, IMAGES, first_stage(), SerialExecutor(), image_range=(36, 70), shared=True)
        assert "and 1 more" in str(stage_status(store, "toy").running)
    with stage_lock(store.objects, "toy"), pytest.raises(LockedError):
        run_stage(store, IMAGES, first_stage(), SerialExecutor(), image_range=(0, 4), shared=True)


def test_a_part_with_other_parameters_than_those_at_work_is_refused(url: str) -> None:
    """Also before any shard of theirs is whole."""
    store = create_or_open(url, IMAGES, shard=4)
    run_stage(store, IMAGES, first_stage(rows=3), SerialExecutor(), image_range=(0, 4), shared=True)
    for record in (Path(url) / "toy/records").iterdir():
        record.unlink()
    with stage_lock(store.objects, "toy", (0, 9)), pytest.raises(InputError, match=r"params\.rows: 3 stored, 5 now"):
        run_stage(open_store(url), IMAGES, first_stage(), SerialExecutor(), image_range=(40, 70), shared=True)
    run_stage(open_store(url), IMAGES, first_stage(), SerialExecutor(), image_range=(40, 70), shared=True)
    assert open_store(url).layout("toy/box").row_shape == (5, 4)


def test_what_others_are_writing_stays(url: str) -> None:
    """Of a part only its own leftovers go; of a whole run all."""
    store, half = create_or_open(url, IMAGES, shard=4), "0" * 32 + ".partial"
    run_stage(store, IMAGES, first_stage(), SerialExecutor(), image_range=(0, 4), shared=True)
    mine = [f"toy/box/c/3/0/0.{half}", f"toy/records/12-16.json.{half}"]
    theirs = [f"toy/box/c/9/0/0.{half}", f"toy/records/36-40.json.{half}", f"toy/zarr.json.{half}"]
    for key in (*mine, *theirs):
        (Path(url) / key).parent.mkdir(parents=True, exist_ok=True)
        (Path(url) / key).write_bytes(b"half")
    run_stage(store, IMAGES, first_stage(), SerialExecutor(), image_range=(4, 20), shared=True)
    assert [(Path(url) / key).exists() for key in (*mine, *theirs)] == [False, False, True, True, True]
    run_stage(store, IMAGES, first_stage(), SerialExecutor())
    assert not list(Path(url).rglob("*.partial"))


@pytest.mark.slow
def test_all_at_once_on_an_object_store(tmp_path: Path) -> None:
    """`rclone serve s3` has no create-only writes: who makes the store is known after a moment."""
    summaries: list[RunSummary] = []
    with s3_server(tmp_path / "served"):
        url = f"s3://{BUCKET}/parts.zarr"
        threads = [threading.Thread(target=lambda i=i: summaries.extend(run_part(url, i, 4))) for i in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not verify_store(open_store(url)).damage
    assert sum(summary.computed.done for summary in summaries) == 2 * 70
    assert chunk_bytes(tmp_path / "served" / BUCKET / "parts.zarr") == reference(tmp_path / "whole.zarr")
