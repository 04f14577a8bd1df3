"""A store that holds more images than a split has."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.engine.toy import first_stage, image_list
from data.errors import InputError
from data.records import ImageList, ImageRecord
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open
from store.errors import IncompleteStoreError
from store.labels import label_changes

IMAGES = image_list(6)


def part(*rows: int, split: str = "val") -> ImageList:
    return replace(IMAGES, split=split, records=tuple(IMAGES.records[row] for row in rows))


def test_a_part_stands_in_the_stores_order_and_needs_its_own_rows_only(url: str) -> None:
    store = create_or_open(url, IMAGES, shard=2)
    run_stage(store, IMAGES, first_stage(), SerialExecutor(), image_range=(2, 6))
    found, rows = store.locate(part(5, 2, 3))
    assert [record.id for record in found.records] == ["im00002", "im00003", "im00005"] and rows.tolist() == [2, 3, 5]
    assert found.split == "val" and store.rows(["im00005", "im00000"]).tolist() == [5, 0]
    store.require("toy", rows=rows)
    with pytest.raises(IncompleteStoreError, match="toy: 1 of 2 images not computed"):
        store.require("toy", rows=np.array([1, 2]))
    whole, every = store.locate(IMAGES)
    assert whole.records == IMAGES.records and every.tolist() == list(range(6))


def test_what_the_store_lacks_is_named(url: str) -> None:
    store = create_or_open(url, part(0, 1, 2, split="train"))
    message = r"val: 2 of 3 images are not in the store .*zarr \(of split 'train'\): im00004, im00005; .*joined by \+"
    with pytest.raises(InputError, match=message):
        store.locate(part(1, 4, 5))
    resized = ImageRecord("im00001", "/elsewhere/b.png", (1, 2), ())
    with pytest.raises(InputError, match=r"/elsewhere/b.png: is 1 x 2"):
        store.locate(replace(part(1), records=(resized,)))
    with pytest.raises(InputError, match="lacks 'im00002'"):  # of its own split it wants all
        store.locate(part(0, 1, split="train"))


def test_labels_of_a_part_are_compared_with_their_own(url: str) -> None:
    store = create_or_open(url, IMAGES)
    images, rows = store.locate(part(1, 4))
    assert label_changes(store, images, rows) == []
    other = replace(images, records=(images.records[0], replace(images.records[1], label=())))
    assert label_changes(store, other, rows) == ["1 of 2 images have other labels: im00004"]
