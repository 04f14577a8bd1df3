"""Who computed how much of a stage, which workers fell silent, which images took longest."""

import json
import time
from dataclasses import asdict

import pytest

from benchmarks.engine.toy import first_stage, image_list
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open
from store.lock import Holder, lock_key
from store.outcomes import ShardOutcome
from store.status import stage_status
from store.tally import FEW, Tally, longest
from store.workers import by_host, worker_shares


def shard(
    first: int, host: str, seconds: float, written: float, slowest: tuple[str, float] = ("", 0.0)
) -> ShardOutcome:
    return ShardOutcome(first, first + 4, {}, seconds, 10, host, written, slowest)


def test_shares_are_added_up_by_worker_the_busiest_first() -> None:
    shards = [
        shard(0, "b:2", 8.0, 50.0),
        shard(4, "a:1", 1.0, 70.0),
        shard(8, "a:1", 3.0, 60.0),
        shard(12, "b:3", 2, 9),
    ]
    found = worker_shares(shards)
    assert [asdict(share) for share in found] == [
        {"worker": "a:1", "images": 8, "seconds": 4.0, "last": 70.0},
        {"worker": "b:2", "images": 4, "seconds": 8.0, "last": 50.0},
        {"worker": "b:3", "images": 4, "seconds": 2.0, "last": 9.0},
    ]
    assert [share.plain()["images_per_second"] for share in found] == [2.0, 0.5, 2.0]
    assert {host: len(shares) for host, shares in by_host(found).items()} == {"a": 1, "b": 2}
    assert worker_shares([]) == []


def test_the_slowest_images_of_a_run_are_kept() -> None:
    tallies = [Tally(slowest=longest((f"{part}{k}", float(10 * k + part)) for k in range(8))) for part in range(3)]
    total = sum(tallies, Tally())
    assert total.slowest[:4] == (("27", 72.0), ("17", 71.0), ("07", 70.0), ("26", 62.0)) and len(total.slowest) == FEW


def test_a_worker_that_writes_nothing_for_long_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = image_list(16)
    store = create_or_open(url, images, shard=4)
    run_stage(store, images, first_stage(), SerialExecutor())
    assert not stage_status(store, "toy").silent
    now = time.time()
    shards = [shard(0, "a:1", 40.0, now - 100, ("slow", 30.0)), shard(4, "a:2", 40.0, now - 130, ("quick", 20.0))]
    monkeypatch.setattr(type(store), "outcomes", lambda self, group: iter(shards))
    assert not stage_status(store, "toy").silent, "nobody is at work"
    holder = Holder("elsewhere", 1, now - 1000, "/", time.time())
    store.objects.write(lock_key("toy"), json.dumps(asdict(holder)).encode())
    found = stage_status(store, "toy")
    assert [share.worker for share in found.silent] == ["a:2"], "three times 40 s is the patience"
    assert found.slowest == (("slow", 30.0), ("quick", 20.0))
    assert found.plain()["silent"] == ["a:2"] and [one["worker"] for one in found.plain()["workers"]] == ["a:1", "a:2"]
