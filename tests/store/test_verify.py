"""Every kind of damage is named, and repaired by computing just the images concerned."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.engine.toy import chunk_bytes, first_stage, image_list, second_stage
from data.errors import InputError
from data.records import ImageList
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open, relabel, write_root
from store.errors import DamagedStoreError
from store.repair import repair_images, withdraw_unreadable
from store.store import open_store
from store.verify import damaged_rows, verify_store

IMAGES = image_list(70)


def flip(path: Path, place: int = 20) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 16
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.fixture(autouse=True)
def short_image_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several shards of the image list of these few images."""
    monkeypatch.setattr("store.layout.IMAGES_A_SHARD", 32)


@pytest.fixture
def root(url: str) -> Path:
    store = create_or_open(url, IMAGES)
    run_stage(store, IMAGES, first_stage(), SerialExecutor())
    run_stage(store, IMAGES, second_stage(), SerialExecutor())
    return Path(url)


def repair(root: Path, log: Path) -> list[str]:
    """As the command does; the ids that were computed again by the first stage."""
    store = open_store(str(root))
    damage = verify_store(store).damage
    if any(found.group == "images" for found in damage):
        repair_images(store, IMAGES, damage)
        store = open_store(str(root))
    withdraw_unreadable(store, damage)
    for group in store.groups_in_order({found.group for found in damage} - {"images"}):
        stage = first_stage(log=str(log)) if group == "toy" else second_stage()
        run_stage(store, IMAGES, stage, SerialExecutor(), repair=damaged_rows(damage, group))
    return log.read_text().split() if log.exists() else []


def test_a_whole_store_is_whole(root: Path) -> None:
    result = verify_store(open_store(str(root)))
    assert not result.damage and result.pending == {"toy": 0, "toy_sum": 0}
    assert result.objects == 3 * 3 + 3 * 3 + 2 * 3 and result.bytes == sum(map(len, chunk_bytes(root).values()))


@pytest.mark.parametrize(
    ("harm", "key", "named", "again"),
    [
        (flip, "toy/box/c/1/0/0", "toy/box: image 32 (im00032): shard toy/box/c/1/0/0: crc32c", 1),
        (cut, "toy/box/c/1/0/0", "toy/box: images 32:64: shard toy/box/c/1/0/0: ", 32),
        (Path.unlink, "toy/box/c/1/0/0", "toy/box: images 32:64: shard toy/box/c/1/0/0: missing", 32),
        (flip, "toy/count/c/0", "toy/count: images 0:32: shard toy/count/c/0: crc32c", 32),
        (Path.unlink, "toy/status/c/2", "toy/status: images 64:70: shard toy/status/c/2: missing", 6),
        (cut, "toy/records/0-32.json", "toy/records: images 0:32: shard toy/records/0-32.json: the comp", 32),
        (flip, "toy_sum/sum/c/2/0", "toy_sum/sum: image 64 (im00064): shard toy_sum/sum/c/2/0: crc32c", 0),
        (Path.unlink, "images/size/c/1/0", "images/size: images 32:64: shard images/size/c/1/0: missing", 0),
        (flip, "images/id/c/1", "images/id: images 32:64: shard images/id/c/1: the chunk does not match", 0),
        (Path.unlink, "toy/box/zarr.json", "toy/box: all images: toy/box/zarr.json: missing", 0),
    ],
)
def test_damage_is_named_and_repaired(
    root: Path, tmp_path: Path, harm: Callable[[Path], None], key: str, named: str, again: int
) -> None:
    before = chunk_bytes(root)
    harm(root / key)
    store = open_store(str(root))
    damage = verify_store(store).damage
    assert damage[0].describe(store).startswith(named)
    assert len(repair(root, tmp_path / "log")) == again
    assert not verify_store(open_store(str(root))).damage
    assert chunk_bytes(root) == before


def test_several_images_are_named(root: Path) -> None:
    path = root / "toy/box/c/0/0/0"
    size = path.stat().st_size // 33
    for image in range(0, 6):
        flip(path, image * size + 30)
    store = open_store(str(root))
    (found,) = verify_store(store).damage
    assert len(found.rows) == 6 and "and 2 more" in found.describe(store)


def test_a_lost_group_document_is_named(root: Path) -> None:
    (root / "toy_sum/zarr.json").unlink()
    store = open_store(str(root))
    (found,) = verify_store(store).damage
    assert found.describe(store) == "toy_sum/zarr.json: all images: toy_sum/zarr.json: missing"


def test_reading_damage_names_array_images_and_shard(root: Path) -> None:
    flip(root / "toy/box/c/1/0/0")
    with pytest.raises(DamagedStoreError, match=r"toy/box, images 32:64, toy/box/c/1/0/0: .*verify --repair"):
        open_store(str(root)).read("toy/box", 32)
    assert open_store(str(root)).read("toy/box", 33).any()


@pytest.mark.parametrize(
    "images",
    [
        replace(IMAGES, records=(replace(IMAGES.records[0], label=(0, 1)), *IMAGES.records[1:])),
        replace(IMAGES, class_names=("dog", "cat")),
        replace(IMAGES, category_ids=(0, 1)),
        replace(IMAGES, class_names=("cat", "dog", "elk"), category_ids=(1, 2, 3)),
    ],
)
@pytest.mark.parametrize("harm", [flip, Path.unlink])
@pytest.mark.parametrize("stated", [True, False])
def test_repair_never_mixes_new_labels_with_old(
    root: Path, images: ImageList, harm: Callable[[Path], None], stated: bool
) -> None:
    """Ids and sizes are mended, labels not: `relabel` then brings in all of them."""
    if not stated:  # as older versions left it
        forget_label_digest(root)
    harm(root / "images/label/c/1/0")
    harm(root / "images/id/c/0")
    store = open_store(str(root))
    with pytest.raises(InputError, match=r"labels are damaged, and those of .* changed .*run `relabel`"):
        repair_images(store, images, verify_store(store).damage)
    store = open_store(str(root))
    assert {found.key for found in verify_store(store).damage} == {"images/label/c/1/0"}
    relabel(store, images)
    store = open_store(str(root))
    assert store.images().labels().tolist() == images.label_matrix().tolist() and not verify_store(store).damage


def forget_label_digest(root: Path) -> None:
    store = open_store(str(root))
    write_root(store.objects, {name: v for name, v in store.attributes.items() if name != "label_digest"})
