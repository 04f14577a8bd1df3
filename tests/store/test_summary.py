"""Summaries say what the records say, count only as long as these are there, and spare reading them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.engine.toy import first_stage, image_list
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.completion import UPSTREAM, Completion, ImageOutcome, WrittenObject
from store.create import create_or_open, write_root
from store.documents import seal
from store.layout import DONE, FAILED, is_own_key
from store.local import LocalObjects
from store.outcomes import ShardOutcome
from store.repair import withdraw_unreadable
from store.status import failed_images, store_status
from store.store import Store, open_store
from store.summary import Summary
from store.verify import damaged_rows, verify_store

IMAGES = image_list(22)
FAILING = first_stage(fail=("im00001", "im00006"))
OUTCOME = st.sampled_from(
    [
        ImageOutcome("a", DONE, "", 0.5),
        ImageOutcome("\u00ff", DONE, "", 1e-7),
        ImageOutcome("", FAILED, UPSTREAM, 0.0),
        ImageOutcome("b", FAILED, "torn \u2028", 1 / 3),
    ]
)


@pytest.fixture
def root(url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six shards of four images, of which two failed, in three summaries of two."""
    monkeypatch.setattr("store.summary.BLOCK", 2)
    monkeypatch.setattr("pipeline.runner.BLOCK", 2)
    run_stage(create_or_open(url, IMAGES, shard=4), IMAGES, FAILING, SerialExecutor())
    return Path(url)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Keys of what was read since."""
    found: list[str] = []
    read = LocalObjects.read

    def noting(self: LocalObjects, key: str, *bounds: int | None) -> bytes:
        found.append(key)
        return read(self, key, *bounds)

    monkeypatch.setattr(LocalObjects, "read", noting)
    yield found


def said(store: Store) -> tuple[object, ...]:
    """All that is told of a stage from summaries or records."""
    (status,) = store_status(store)
    return status.plain(), status.tally, failed_images(store, "toy"), store.status("toy").tolist()


def summaries(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "toy/records").glob("*.summary"))


def test_they_say_what_the_records_say(root: Path, reads: list[str]) -> None:
    assert summaries(root) == ["0-8.summary", "16-22.summary", "8-16.summary"]
    with_them = said(open_store(str(root)))
    assert not [key for key in reads if key.endswith(".json") and "/records/" in key]
    for name in summaries(root):
        (root / "toy/records" / name).unlink()
    assert said(open_store(str(root))) == with_them
    assert len({key for key in reads if key.endswith(".json") and "/records/" in key}) == 6


def test_nothing_to_do_reads_no_record_and_writes_what_is_missing(root: Path, reads: list[str]) -> None:
    assert not run_stage(open_store(str(root)), IMAGES, FAILING, SerialExecutor()).computed.images
    assert not [key for key in reads if key.endswith(".json") and "/records/" in key]
    (root / "toy/records/8-16.summary").unlink()
    run_stage(open_store(str(root)), IMAGES, FAILING, SerialExecutor())
    assert len(summaries(root)) == 3 and not verify_store(open_store(str(root))).damage


@pytest.mark.parametrize("cut", [True, False])
def test_a_record_that_is_gone_or_cut_counts_no_more(root: Path, cut: bool) -> None:
    record = root / "toy/records/8-12.json"
    record.write_bytes(record.read_bytes()[:-9]) if cut else record.unlink()
    store = open_store(str(root))
    assert store.status("toy").tolist() == [1, 2, 1, 1, 1, 1, 2, 1] + [0] * 4 + [1] * 10
    assert run_stage(store, IMAGES, FAILING, SerialExecutor()).computed.images == 4
    assert len(summaries(root)) == 3 and not verify_store(open_store(str(root))).damage


def test_what_is_about_to_change_is_spoken_of_no_more(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the summary goes, then the record; the summary comes back last."""
    acts: list[str] = []
    for name in ("write", "delete"):
        original = getattr(LocalObjects, name)

        def act(self: LocalObjects, key: str, *data: bytes, name: str = name, original: object = original) -> None:
            acts.append(f"{name} {key}")
            original(self, key, *data)  # type: ignore[operator]

        monkeypatch.setattr(LocalObjects, name, act)
    run_stage(open_store(str(root)), IMAGES, first_stage(), SerialExecutor(), retry_failed=True)
    acts = [act for act in acts if "/records/" in act]
    assert acts == [
        "delete toy/records/0-8.summary",
        *(f"{act} toy/records/{shard}.json" for shard in ("0-4", "4-8") for act in ("delete", "write")),
        "write toy/records/0-8.summary",
    ]
    assert open_store(str(root)).status("toy").tolist() == [1] * 22


def test_those_of_another_list_or_stage_count_for_nothing(root: Path) -> None:
    longer = image_list(30)
    store = create_or_open(str(root), longer)
    assert store.status("toy").tolist() == [1, 2, 1, 1, 1, 1, 2, 1] + [1] * 14 + [0] * 8
    run_stage(store, longer, FAILING, SerialExecutor())
    assert summaries(root) == ["0-8.summary", "16-24.summary", "24-30.summary", "8-16.summary"]
    run_stage(open_store(str(root)), longer, first_stage(rows=3), SerialExecutor(), overwrite=True)
    assert open_store(str(root)).status("toy").tolist() == [1] * 30 and not verify_store(open_store(str(root))).damage


@pytest.mark.parametrize("sealed", [True, False])
def test_verify_compares_them_with_the_records(root: Path, sealed: bool) -> None:
    """Also one that is whole and lies."""
    path = root / "toy/records/0-8.summary"
    fields = json.loads(path.read_bytes())
    fields["undone"] = []
    content = seal(fields) if sealed else fields
    path.write_bytes(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
    store = open_store(str(root))
    assert (store.status("toy")[1] == DONE) == sealed
    result = verify_store(store)
    problem = "says something else than the records" if sealed else "is no whole summary"
    assert [(found.key, found.problem) for found in result.damage] == [("toy/records/0-8.summary", problem)]
    withdraw_unreadable(store, result.damage)
    run_stage(store, IMAGES, FAILING, SerialExecutor(), repair=damaged_rows(result.damage, "toy"))
    assert not verify_store(open_store(str(root))).damage and len(summaries(root)) == 3
    assert open_store(str(root)).status("toy")[1] == FAILED


def test_a_part_of_a_block_has_a_summary_of_its_own(root: Path) -> None:
    for name in summaries(root):
        (root / "toy/records" / name).unlink()
    for bounds in ((0, 12), (12, 22)):
        run_stage(open_store(str(root)), IMAGES, FAILING, SerialExecutor(), image_range=bounds)
    assert summaries(root) == ["0-8.summary", "12-16.summary", "16-22.summary", "8-12.summary"]
    assert all(is_own_key(f"toy/records/{name}") for name in summaries(root))


def test_stores_of_format_1_get_none(url: str) -> None:
    """Programs that know of none may change them."""
    store = create_or_open(url, IMAGES, shard=4)
    store = write_root(store.objects, {**store.attributes, "format": 1})
    run_stage(store, IMAGES, FAILING, SerialExecutor())
    assert not summaries(Path(url))


@given(st.lists(OUTCOME, min_size=1, max_size=4), st.lists(st.integers(0, 99), max_size=2))
def test_a_summary_is_read_as_it_was_written(images: list[ImageOutcome], sizes: list[int]) -> None:
    objects = {str(k): WrittenObject(size, "") for k, size in enumerate(sizes)}
    records = [Completion("f", k, k + len(images), tuple(images), objects, host="h") for k in (0, len(images))]
    summary = Summary("f", "digest", tuple(map(ShardOutcome.of, records)), (7, 8))
    data = summary.encode()
    assert Summary.decode(data) == summary
    assert Summary.decode(data[:-1]) is None and Summary.decode(data.replace(b'"f"', b'"g"')) is None
    for shard, record in zip(summary.shards, records, strict=True):
        assert shard.statuses().tolist() == record.statuses().tolist()
