"""Several arrays of several images in one round trip, with and without copies on this machine."""

from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from benchmarks.engine.toy import first_stage, image_list, second_stage
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.copies import Copies
from store.create import create_or_open
from store.errors import DamagedStoreError, IncompleteStoreError
from store.store import Store, open_store

IMAGES = image_list(20)
NAMES = ("toy/box",)
ROWS = [7, 3, 19, 7, 0]


class CountingFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """Counts requests for many ranges at once, and single ones."""

    protocol = "counting"
    store: dict[str, Any] = {}  # noqa: RUF012
    together = alone = 0

    def cat_ranges(self, *given: Any, **options: Any) -> Any:
        type(self).together += 1
        before = self.alone
        found = super().cat_ranges(*given, **options)
        type(self).alone = before
        return found

    def cat_file(self, *given: Any, **options: Any) -> bytes:
        type(self).alone += 1
        return bytes(super().cat_file(*given, **options))


@pytest.fixture(params=["folder", "counting"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    fsspec.register_implementation("counting", CountingFileSystem, clobber=True)
    CountingFileSystem.store.clear()
    return str(tmp_path / "a.zarr") if request.param == "folder" else "counting://a.zarr"


@pytest.fixture
def store(url: str) -> Store:
    made = create_or_open(url, IMAGES, shard=4)
    run_stage(made, IMAGES, first_stage(), SerialExecutor())
    return open_store(url)


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    return Copies(tmp_path / "copies", 10**6)


def expected(store: Store, rows: list[int]) -> list[np.ndarray]:
    return [open_store(store.url).read("toy/box", row) for row in rows]


def boxes(store: Store, rows: list[int], copies: Copies | None = None) -> list[np.ndarray]:
    return [values for (values,) in store.read_together(NAMES, rows, copies)]


def test_it_is_what_reading_one_by_one_gives(store: Store, copies: Copies) -> None:
    for given in (None, copies, copies):
        found = boxes(store, ROWS, given)
        assert len(found) == 5 and all(map(np.array_equal, found, expected(store, ROWS)))
    assert boxes(store, []) == []


def test_one_round_trip_where_indexes_and_records_are_known(store: Store, copies: Copies) -> None:
    if not store.url.startswith("counting"):
        pytest.skip("a folder has no round trips")
    boxes(store, [0, 4, 8, 12, 16])
    CountingFileSystem.together = CountingFileSystem.alone = 0
    boxes(store, [1, 5, 9, 13, 17], copies)
    assert (CountingFileSystem.together, CountingFileSystem.alone) == (1, 0)
    boxes(store, [17, 9, 1], copies)
    assert (CountingFileSystem.together, CountingFileSystem.alone) == (1, 0)


def test_another_process_knows_what_is_whole(store: Store) -> None:
    store.require("toy")
    twin = store.reopened()
    for key in [key for key, _ in store.objects.entries("toy/records")]:
        store.objects.delete(key)
    assert np.array_equal(boxes(twin, [5])[0], twin.read("toy/box", 5))
    with pytest.raises(IncompleteStoreError, match="image 5 was not computed"):
        boxes(open_store(store.url), [5])


def test_damage_is_named_and_never_kept(store: Store, copies: Copies) -> None:
    key = "toy/box/c/1/0/0"
    data = bytearray(store.objects.read(key))
    data[3] ^= 1  # of the first image of the shard
    store.objects.write(key, bytes(data))
    with pytest.raises(DamagedStoreError, match=r"toy/box, images 4:8.*checksum"):
        boxes(store, [0, 4], copies)
    assert len(boxes(store, [0, 5], copies)) == 2
    store.objects.delete(key)
    with pytest.raises(DamagedStoreError, match="the shard is missing"):
        boxes(open_store(store.url), [6], copies)
    with pytest.raises(DamagedStoreError):
        boxes(open_store(store.url), [4], copies)


def test_a_damaged_copy_is_fetched_again(store: Store, copies: Copies) -> None:
    boxes(store, ROWS, copies)
    for path in copies.folder.rglob("*.copy"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    assert all(map(np.array_equal, boxes(store, ROWS, copies), expected(store, ROWS)))
    assert all(copies.get(store._reader._copy_name([store.layout("toy/box")], row)) for row in ROWS)


def test_a_copy_of_other_bytes_with_a_right_checksum_is_no_image(store: Store, copies: Copies) -> None:
    """What the folder's checksum can not know, the chunk's does."""
    boxes(store, [3], copies)
    name = store._reader._copy_name([store.layout("toy/box")], 3)
    copies.drop(name)
    copies.put(name, [b"something else, well wrapped"])
    assert np.array_equal(boxes(store, [3], copies)[0], expected(store, [3])[0])
    assert copies.get(name) != (b"something else, well wrapped",), "the right bytes are kept in its place"


def test_copies_of_what_was_computed_anew_do_not_count(store: Store, copies: Copies) -> None:
    run_stage(store, IMAGES, second_stage(scale=1.0), SerialExecutor())
    (before,) = open_store(store.url).read_together(["toy_sum/sum"], [7], copies)[0]
    run_stage(store, IMAGES, second_stage(scale=2.0), SerialExecutor(), overwrite=True)
    (after,) = open_store(store.url).read_together(["toy_sum/sum"], [7], copies)[0]
    assert before.any() and np.array_equal(after, 2 * before)


def test_a_shard_rewritten_after_its_index_was_read(store: Store, copies: Copies) -> None:
    boxes(store, [4, 5])
    key = "toy/box/c/1/0/0"
    whole = store.objects.read(key)
    store.objects.write(key, whole[:10])
    with pytest.raises(DamagedStoreError):
        boxes(store, [6], copies)
    store.objects.write(key, whole)
    assert np.array_equal(boxes(store, [6], copies)[0], expected(store, [6])[0])


def test_rows_that_are_not_there(store: Store) -> None:
    with pytest.raises((IndexError, IncompleteStoreError)):
        boxes(store, [20])
