"""The store: schema, reading, refusing, extending, formats."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from benchmarks.engine.toy import chunk_bytes, first_stage, image_list, noise, second_stage
from data.errors import InputError
from data.records import ImageRecord
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open, default_shard, write_root
from store.errors import DamagedStoreError, IncompleteStoreError
from store.remote import RemoteObjects
from store.store import open_store
from store.verify import verify_store


def test_schema_is_that_of_the_design(url: str) -> None:
    images = image_list(70)
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(), SerialExecutor())
    group = zarr.open_group(url, mode="r")
    assert group.attrs["format"] == 2 and group.attrs["digest"] == images.digest()
    assert group.attrs["spec"] == "folder:toy" and group.attrs["class_names"] == ["cat", "dog"]
    assert group["toy"].attrs["params"] == {"rows": 5, "seconds": 0.0, "fail": [], "kill": [], "endless": [], "log": ""}
    assert set(group["toy"].attrs) >= {"version", "upstream", "packages", "source", "fingerprint"}
    box, status, image_id = group["toy/box"], group["toy/status"], group["images/id"]
    assert box.shape == (70, 5, 4) and box.dtype == np.float32
    assert box.shards == (32, 5, 4) and box.chunks == (1, 5, 4)
    assert status.shards == status.chunks == (32,) and status.dtype == np.uint8
    assert image_id.shards == image_id.chunks == (16384,)
    assert image_id[:].tolist() == [record.id for record in images.records]
    assert np.array_equal(group["images/size"][:], images.size_matrix())
    assert np.array_equal(group["images/label"][:], images.label_matrix())
    assert status[:].tolist() == [1] * 70
    assert np.array_equal(box[69], noise("im00069", (5, 4)))
    assert [type(codec).__name__ for codec in box.compressors] == ["ZstdCodec", "Crc32cCodec"]


def test_record_holds_outcomes_and_checksums(url: str) -> None:
    images = image_list(40)
    run_stage(create_or_open(url, images), images, first_stage(fail=("im00003",)), SerialExecutor())
    record = json.loads((Path(url) / "toy/records/0-32.json").read_text())
    assert record["images"][3]["id"] == "im00003" and record["images"][3]["status"] == 2
    assert record["images"][3]["reason"] == "told to fail" and record["images"][4]["seconds"] >= 0
    assert set(record["objects"]) == {"toy/box/c/0/0/0", "toy/count/c/0", "toy/status/c/0"}
    for key, written in record["objects"].items():
        assert (Path(url) / key).stat().st_size == written["size"] and len(written["crc32c"]) == 8


def test_reading_rows_slices_and_lists(url: str) -> None:
    images = image_list(70)
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(), SerialExecutor())
    expected = np.stack([noise(record.id, (5, 4)) for record in images.records])
    store = pickle.loads(pickle.dumps(open_store(url)))
    assert np.array_equal(store.read("toy/box", 33), expected[33])
    assert np.array_equal(store.read("toy/box", slice(30, 66)), expected[30:66])
    assert np.array_equal(store.read("toy/box", [69, 0, 31, 32]), expected[[69, 0, 31, 32]])
    assert store.read("toy/count", 5).shape == () and store.read("toy/count", [1, 40]).shape == (2,)
    assert store.read("images/id", [2])[0] == "im00002"
    assert store.read("toy/box", []).shape == (0, 5, 4)
    with pytest.raises(IndexError):
        store.read("toy/box", 70)


def test_what_was_not_computed_is_refused(url: str) -> None:
    images = image_list(70)
    store = create_or_open(url, images)
    with pytest.raises(IncompleteStoreError, match="run precompute"):
        store.read("toy/box", 0)
    run_stage(store, images, first_stage(), SerialExecutor(), image_range=(0, 32))
    assert store.read("toy/box", 31).any()
    with pytest.raises(IncompleteStoreError, match="image 32 was not computed"):
        store.read("toy/box", 32)
    assert store.status("toy").tolist() == [1] * 32 + [0] * 38
    with pytest.raises(IncompleteStoreError, match="38 of 70"):
        store.require("toy")


def test_a_deleted_shard_is_damage_not_zeros(url: str) -> None:
    images = image_list(40)
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(), SerialExecutor())
    (Path(url) / "toy/box/c/1/0/0").unlink()
    with pytest.raises(DamagedStoreError, match=r"toy/box, images 32:40, toy/box/c/1/0/0: the shard is missing"):
        open_store(url).read("toy/box", 33)


def test_a_reader_notices_a_rewritten_shard(url: str) -> None:
    images = image_list(8)
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(fail=tuple(f"im{k:05d}" for k in range(7))), SerialExecutor())
    reader = open_store(url)
    assert not reader.read("toy/box", 0).any()
    run_stage(store, images, first_stage(), SerialExecutor(), retry_failed=True)
    assert np.array_equal(reader.read("toy/box", 7), noise("im00007", (5, 4)))


@pytest.mark.parametrize(("old", "new"), [(40, 43), (40, 64), (40, 150), (32, 33), (5, 6)])
def test_added_images_extend_the_store_without_recomputing(tmp_path: Path, url: str, old: int, new: int) -> None:
    log = tmp_path / "log"
    longer = image_list(new)
    shorter = replace(longer, records=longer.records[:old])
    store = create_or_open(url, shorter)
    run_stage(store, shorter, first_stage(), SerialExecutor())
    store = create_or_open(url, longer)
    assert len(store) == new and store.status("toy").tolist() == [1] * old + [0] * (new - old)
    assert np.array_equal(store.read("toy/box", old - 1), noise(longer.records[old - 1].id, (5, 4)))
    with pytest.raises(IncompleteStoreError):
        store.read("toy/box", old)
    run_stage(store, longer, first_stage(log=str(log)), SerialExecutor())
    assert log.read_text().split() == [record.id for record in longer.records[old:]]
    fresh = tmp_path / "fresh.zarr"
    run_stage(create_or_open(str(fresh), longer), longer, first_stage(), SerialExecutor())
    assert chunk_bytes(Path(url)) == chunk_bytes(fresh)
    assert zarr.open_group(url, mode="r")["toy/box"].shape == (new, 5, 4)
    assert len(list((Path(url) / "toy/records").glob("*.json"))) == -(-new // 32)


def test_shards_of_a_new_store_are_by_the_number_of_its_images(url: str) -> None:
    numbers = (1, 262_144, 262_145, 524_289, 1_000_000, 2_097_152, 2_097_153, 10**8)
    assert [default_shard(n) for n in numbers] == [32, 32, 64, 128, 128, 256, 512, 512]
    assert create_or_open(url, image_list(3)).shard == 32


def test_images_added_in_the_middle_go_to_the_end(url: str) -> None:
    images = image_list(40)
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(), SerialExecutor())
    between = replace(images, records=(image_list(1, prefix="new").records[0], *images.records))
    store = create_or_open(url, between)
    assert store.images().ids[-1] == "new00000" and store.images().ids[0] == "im00000"
    assert run_stage(store, between, first_stage(), SerialExecutor()).computed.images == 1
    assert store.align(between).digest() == store.digest


def test_another_image_list_is_refused_by_name(url: str) -> None:
    images = image_list(40)
    create_or_open(url, images)
    with pytest.raises(InputError, match=r"1 of 40 are gone \('im00000' first\).*--overwrite"):
        create_or_open(url, replace(images, records=images.records[1:]))
    bigger = replace(images.records[3], size=(99, 99))
    with pytest.raises(InputError, match=r"1 have another size \('im00003' first\)"):
        create_or_open(url, replace(images, records=(*images.records[:3], bigger, *images.records[4:])))
    with pytest.raises(InputError, match="class_names"):
        create_or_open(url, replace(images, class_names=("cat", "cow")))
    with pytest.raises(InputError, match=r"store\.shard: 32 stored, 8 now"):
        create_or_open(url, images, shard=8)
    assert len(create_or_open(url, replace(images, records=images.records[1:]), overwrite=True)) == 39


def test_labels_may_change(url: str) -> None:
    images = image_list(3)
    create_or_open(url, images)
    relabelled = replace(images, records=tuple(replace(r, label=(0, 1)) for r in images.records), spec="folder:moved")
    store = create_or_open(url, relabelled)
    assert store.images().labels().all() and store.images().spec == "folder:moved"


def test_lists_that_can_not_be_stored_are_refused(url: str) -> None:
    images = image_list(3)
    with pytest.raises(InputError, match="no images"):
        create_or_open(url, replace(images, records=()))
    with pytest.raises(InputError, match="'im00000' is listed twice"):
        create_or_open(url, replace(images, records=(*images.records, images.records[0])))
    with pytest.raises(InputError, match=r"store\.shard"):
        create_or_open(url, images, shard=0)


@pytest.mark.parametrize(("found", "age"), [(0, "older"), (3, "newer")])
def test_other_formats_are_named(url: str, found: int, age: str) -> None:
    create_or_open(url, image_list(3))
    root = Path(url) / "zarr.json"
    document = json.loads(root.read_text())
    document["attributes"]["format"] = found
    root.write_text(json.dumps(document))
    with pytest.raises(InputError, match=f"store format {found} is {age}"):
        open_store(url)


def test_what_is_no_store_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="there is no store"):
        open_store(url)
    zarr.create_group(tmp_path / "other.zarr")
    with pytest.raises(InputError, match="no store of this program"):
        open_store(str(tmp_path / "other.zarr"))


def test_stale_stages_are_known_and_refused(url: str) -> None:
    images = image_list(10)
    store = create_or_open(url, images)
    run_stage(store, images, first_stage(), SerialExecutor())
    run_stage(store, images, second_stage(), SerialExecutor())
    store.require("toy", "toy_sum")
    run_stage(store, images, first_stage(rows=6), SerialExecutor(), overwrite=True)
    assert store.stale("toy_sum") == "toy was recomputed with other parameters" and store.stale("toy") is None
    with pytest.raises(IncompleteStoreError, match="toy_sum is stale"):
        store.require("toy_sum")


def test_align_names_the_difference(url: str) -> None:
    images = image_list(4)
    store = create_or_open(url, images)
    shuffled = replace(images, records=images.records[::-1])
    assert store.align(shuffled).records == images.records
    with pytest.raises(InputError, match="lacks 'im00003'"):
        store.align(replace(images, records=images.records[:3]))
    with pytest.raises(
        InputError, match=r"has 1 images the store .* has not \(.im00004. first\); precompute adds them"
    ):
        store.align(image_list(5))
    resized = ImageRecord("im00000", "/elsewhere/a.png", (1, 2), ())
    with pytest.raises(InputError, match=r"/elsewhere/a.png: is 1 x 2"):
        store.align(replace(images, records=(resized, *images.records[1:])))


def test_long_reads_of_an_object_store_fetch_many_objects_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request a shard would be hours for a million images: lists, labels, records and scalars come in batches."""
    url, images = "memory://long-reads.zarr", image_list(120)
    run_stage(create_or_open(url, images, shard=2), images, first_stage(), SerialExecutor(), image_range=(0, 100))
    single: list[str] = []
    read = RemoteObjects.read

    def counted(self: RemoteObjects, key: str, start: int | None = None, stop: int | None = None) -> bytes:
        single.append(key)
        return read(self, key, start, stop)

    monkeypatch.setattr(RemoteObjects, "read", counted)
    store = open_store(url)
    assert store.images().ids == tuple(record.id for record in images.records)
    assert store.status("toy").tolist() == [1] * 100 + [0] * 20
    assert store.read("toy/count", slice(0, 100)).shape == (100,)
    assert len(single) < 10, single  # zarr.json documents
    with pytest.raises(IncompleteStoreError, match="image 101 was not computed"):
        store.read("toy/count", slice(0, 120))
    store.objects.delete("toy/count/c/7")
    with pytest.raises(DamagedStoreError, match=r"images 14:16, toy/count/c/7: the shard is missing"):
        open_store(url).read("toy/count", slice(0, 100))


def test_stores_of_format_1_are_read_continued_and_extended(tmp_path: Path, url: str) -> None:
    """Earlier versions kept the image list in shards of the stages' size."""
    images, longer = image_list(70), image_list(100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("store.layout.IMAGES_A_SHARD", 32)
        patch.setattr("store.create.FORMAT", 1)
        old = create_or_open(url, images)
        run_stage(old, images, first_stage(), SerialExecutor(), image_range=(0, 32))
        attributes = {name: value for name, value in old.attributes.items() if name != "image_shard"}
        write_root(old.objects, attributes)
    store = create_or_open(url, images)
    assert store.attributes["format"] == 1 and store.image_shard == 32 and store.images().ids == images.ids
    run_stage(store, images, first_stage(), SerialExecutor())
    store = create_or_open(url, longer)
    run_stage(store, longer, first_stage(), SerialExecutor())
    assert not verify_store(store).damage and open_store(url).images().ids == longer.ids
    assert sorted(path.name for path in (Path(url) / "images/id/c").iterdir()) == ["0", "1", "2", "3"]
