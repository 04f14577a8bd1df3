"""Every byte of a store counts: whatever is changed, cut or lost is found, and repaired where that can be."""

import shutil
from pathlib import Path

import pytest

from benchmarks.engine.damage import table
from benchmarks.engine.mutations import MUTATIONS, kill_everywhere
from benchmarks.engine.toy import first_stage, image_list, second_stage
from commands import verify
from data.errors import InputError
from data.records import ImageList
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open
from store.documents import group_document
from store.errors import DamagedStoreError, IncompleteStoreError
from store.repair import repair_root
from store.root import COPY, ROOT
from store.store import open_store
from store.verify import open_damaged, verify_store

IMAGES = image_list(10)


@pytest.fixture
def whole(url: str) -> Path:
    """A complete store of two stages, three shards."""
    store = create_or_open(url, IMAGES, shard=4)
    for stage in (first_stage(), second_stage()):
        run_stage(store, IMAGES, stage, SerialExecutor())
    return Path(url)


def test_single_damage_is_found_in_every_file(whole: Path) -> None:
    counts = table(whole, flips=6)
    assert sum(counts.values()) > 300
    assert {outcome for _, _, outcome in counts} == {"found", "not computed", "survived"}
    assert {(kind, fault) for kind, fault, outcome in counts if outcome == "survived"} == {
        ("summary of records", "gone")
    }
    lost = {(kind, fault) for kind, fault, outcome in counts if outcome == "not computed"}
    assert lost == {("completion record", "gone")}  # a shard without a record was not computed


@pytest.mark.parametrize("key", [ROOT, COPY, "images/size/zarr.json"])
@pytest.mark.parametrize("loss", [True, False])
def test_root_and_documents_of_the_image_list_are_written_again(whole: Path, key: str, loss: bool) -> None:
    before = (whole / key).read_bytes()
    if loss:
        (whole / key).unlink()
    else:
        (whole / key).write_bytes(before.replace(b"3", b"7", 1))
    damaged = open_damaged(str(whole))
    assert key in {found.key for found in verify_store(damaged).damage}
    repair_root(damaged)
    assert (whole / key).read_bytes() == before and not verify_store(open_store(str(whole))).damage


def test_a_lost_root_is_not_a_reason_to_begin_again(whole: Path) -> None:
    (whole / ROOT).unlink()
    for refused in (lambda: open_store(str(whole)), lambda: create_or_open(str(whole), IMAGES)):
        with pytest.raises(InputError, match=r"zarr\.json is missing: verify --repair writes it again"):
            refused()


@pytest.mark.parametrize(
    ("field", "value"),
    [("n_images", 10**12), ("n_images", "8"), ("n_images", -8), ("shard", 0), ("class_names", "cat")],
)
def test_fields_that_everything_trusts_are_checked(whole: Path, field: str, value: object) -> None:
    attributes = {**open_store(str(whole)).attributes, field: value}
    (whole / ROOT).write_bytes(group_document(attributes))
    with pytest.raises(InputError, match=f"zarr.json: .*{field}"):
        open_store(str(whole))


def test_records_of_other_images_count_for_nothing(whole: Path, tmp_path: Path) -> None:
    """The stages of one list below the root of another, of the same length: what a killed overwrite could leave."""
    others = ImageList(IMAGES.spec, IMAGES.split, IMAGES.class_names, IMAGES.category_ids, IMAGES.records[::-1])
    create_or_open(str(tmp_path / "other.zarr"), others, shard=4)
    for name in (ROOT, "images"):
        source, target = tmp_path / "other.zarr" / name, whole / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    store = open_store(str(whole))
    with pytest.raises(IncompleteStoreError, match="was not computed"):
        store.read("toy/count", 0)
    assert not store.status("toy").any()
    assert {found.problem for found in verify_store(store).damage} == {"the record is of other images"}


def test_labels_that_were_changed_in_part_are_refused(whole: Path) -> None:
    content = (whole / "images/label/c/0/0").read_bytes()
    changed = [record.__class__(record.id, record.path, record.size, ()) for record in IMAGES.records]
    without = ImageList(IMAGES.spec, IMAGES.split, IMAGES.class_names, IMAGES.category_ids, tuple(changed))
    create_or_open(str(whole), without)
    (whole / "images/label/c/0/0").write_bytes(content)  # one shard of the old labels
    with pytest.raises(DamagedStoreError, match="images/label: damaged; run `relabel`"):
        open_store(str(whole)).require("toy")
    create_or_open(str(whole), without)
    open_store(str(whole)).require("toy")


def test_the_users_files_are_left_alone(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"holds other files \('cat.jpg' among them\); choose a --store that is empty"):
        create_or_open(str(photos), IMAGES)
    inside = tmp_path / "a.zarr"
    store = create_or_open(str(inside), IMAGES, shard=4)
    run_stage(store, IMAGES, first_stage(), SerialExecutor())
    mine = [inside / "notes.txt", inside / "toy" / "mine.json", inside / "toy" / "count" / "plot.png"]
    for path in mine:
        path.write_text("mine")
    create_or_open(str(inside), image_list(5), overwrite=True)
    assert all(path.read_text() == "mine" for path in mine)
    assert sorted(p.relative_to(inside).parts[0] for p in inside.rglob("*.json") if p not in mine)[-1] == ROOT


def test_verify_repairs_a_root_from_the_command_line(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (whole / ROOT).write_bytes(b"{}")
    assert verify.run(store=str(whole)) == 3
    assert "zarr.json" in capsys.readouterr().out


@pytest.mark.parametrize("name", MUTATIONS)
def test_whatever_changes_a_store_may_be_killed_anywhere(name: str, tmp_path: Path) -> None:
    """After each write and deletion: refused or right in between, and right after the same command."""
    outcomes = kill_everywhere(name, tmp_path / name)
    assert outcomes.total() > 5 and outcomes["usable"] and not outcomes["wrong"]
