"""Labels and classes that change under a store: noticed, told, and brought in without computing anything."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.engine.toy import chunk_bytes, first_stage, image_list
from data.errors import InputError
from data.records import ImageList
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open, only_stored, relabel
from store.labels import label_changes, refuse_changed_labels
from store.local import LocalObjects
from store.store import Store, open_store

IMAGES = image_list(5)  # labels 0 1 0 1 0 of cat, dog


def labelled(labels: Sequence[tuple[int, ...]], names: tuple[str, ...] = ("cat", "dog"), n: int = 5) -> ImageList:
    images = image_list(n)
    records = tuple(replace(r, label=label) for r, label in zip(images.records, labels, strict=True))
    return replace(images, records=records, class_names=names, category_ids=tuple(range(1, len(names) + 1)))


ALTERNATING = [(0,), (1,), (0,), (1,), (0,)]
CHANGED = [
    (labelled([(0,), (1,), (0, 1), (1,), ()]), ["2 of 5 images have other labels: im00002, im00004"]),
    (labelled(ALTERNATING, ("cat", "dog", "elk")), ["classes are new: elk"]),
    (labelled([(1,), (2,), (1,), (2,), (1,)], ("ape", "cat", "dog")), ["classes are new: ape"]),
    (labelled(ALTERNATING, ("dog", "cat")), ["classes have other numbers", "5 of 5 images have other labels"]),
    (labelled([(1,), (0,), (1,), (0,), (1,)], ("dog", "cat")), ["classes have other numbers"]),
    (
        labelled(ALTERNATING, ("cat", "hound")),
        ["classes are gone: dog", "classes are new: hound", "2 of 5 images have other labels: im00001, im00003"],
    ),
    (replace(IMAGES, category_ids=(0, 1)), ["classes have other numbers"]),
]


@pytest.mark.parametrize(("images", "expected"), CHANGED)
def test_changes_are_told_refused_and_brought_in(url: str, images: ImageList, expected: list[str]) -> None:
    store = create_or_open(url, IMAGES, shard=2)
    run_stage(store, IMAGES, first_stage(), SerialExecutor())
    computed = {key: data for key, data in chunk_bytes(Path(url)).items() if not key.startswith("images")}
    found = label_changes(store, images)
    assert len(found) == len(expected) and all(f.startswith(e) for f, e in zip(found, expected, strict=True))
    with pytest.raises(InputError, match=r"changed since the store was made \(.*run `relabel`"):
        refuse_changed_labels(store, images)
    relabel(store, images)
    after = open_store(url)
    assert label_changes(after, images) == []
    assert after.images().class_names == images.class_names
    assert (after.images().labels() == images.label_matrix()).all()
    assert after.status("toy").tolist() == [1] * 5
    fresh = f"{url}-fresh"
    run_stage(create_or_open(fresh, images, shard=2), images, first_stage(), SerialExecutor())
    assert chunk_bytes(Path(url)) == chunk_bytes(Path(fresh))
    assert {key: data for key, data in chunk_bytes(Path(url)).items() if not key.startswith("images")} == computed


def test_the_same_labels_are_no_change(url: str) -> None:
    store = create_or_open(url, IMAGES)
    assert label_changes(store, IMAGES) == []
    before = {path: path.stat().st_mtime_ns for path in Path(url).rglob("*") if path.is_file()}
    relabel(store, IMAGES)
    assert before == {path: path.stat().st_mtime_ns for path in Path(url).rglob("*") if path.is_file()}


def test_labels_of_old_images_are_brought_in_where_images_are_added(url: str) -> None:
    create_or_open(url, IMAGES, shard=2)
    longer = labelled([(0, 1)] * 7, n=7)
    assert len(only_stored(open_store(url), longer)) == 5
    assert create_or_open(url, longer).images().labels().all()
    assert len(open_store(url)) == 7 and open_store(url).images().labels().all()


def test_changed_classes_are_refused_with_the_cure(url: str) -> None:
    create_or_open(url, IMAGES)
    with pytest.raises(InputError, match=r"classes changed: class_names: .* `relabel` brings them in"):
        create_or_open(url, labelled(ALTERNATING, ("cat", "dog", "elk")))


@pytest.mark.parametrize("written", [1, 2, 3, 5, 7])
def test_an_interruption_leaves_no_mixed_labels(url: str, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    """Killed at any write: the store tells the old labels, none, or the new ones; the same command mends it."""
    images = labelled([(0, 1, 2)] * 5, ("cat", "dog", "elk"))
    store = create_or_open(url, IMAGES, shard=2)
    old = store.images().labels().tolist()
    write, done = LocalObjects.write, [0]

    def failing(self: LocalObjects, key: str, data: bytes) -> None:
        done[0] += 1
        if done[0] > written:
            raise KeyboardInterrupt
        write(self, key, data)

    monkeypatch.setattr(LocalObjects, "write", failing)
    with pytest.raises(KeyboardInterrupt):
        relabel(store, images)
    monkeypatch.undo()
    torn: Store = open_store(url)
    try:
        assert torn.images().labels().tolist() in (old, images.label_matrix().tolist())
    except InputError as error:
        assert "run `relabel` again" in str(error)
        assert label_changes(torn, images) == ["new labels were written only in part"]
    relabel(open_store(url), images)
    assert open_store(url).images().labels().all()
