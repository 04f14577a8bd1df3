"""Mends what `store.verify` found damaged, but for the stages: the engine computes those again."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from data.columns import Texts
from data.errors import InputError
from data.records import ImageList
from store.create import write_image_shards, write_root
from store.errors import DamagedStoreError
from store.images import listed_label_digest
from store.layout import IMAGE_ID, IMAGE_LABEL
from store.root import LABELS, UNFINISHED
from store.store import Store
from store.verify import Damage


def withdraw_unreadable(store: Store, damage: Iterable[Damage]) -> None:
    """Remove completion records that are no whole records, whose shards then count as not computed, and summaries that
    are not those of the records."""
    for found in damage:
        if "/records/" in found.key:
            store.objects.delete(found.key)


def repair_root(store: Store) -> None:
    """Write the root, its copy and the documents of the image list as `store`, opened by what is whole, has them."""
    write_root(store.objects, store.attributes)


def repair_images(store: Store, images: ImageList, damage: Iterable[Damage]) -> None:
    """Write damaged shards of the image list again, ids and sizes first.

    Raises InputError if `images` is not the store's list, and, before labels are written, if those of `images` are not
    the ones that the store was made with: a store holds old labels or new ones, never some of each.
    """
    indexes: dict[str, set[int]] = defaultdict(set)
    for found in damage:
        if found.group == "images":
            indexes["/".join(found.key.split("/")[:2])].add(found.index)
    images = _in_order(store, images)
    for name in sorted(indexes.keys() - {IMAGE_LABEL}):
        write_image_shards(store.objects, images, store.image_shard, sorted(indexes[name]), [name])
    if IMAGE_LABEL in indexes:
        damaged = sorted(indexes[IMAGE_LABEL])
        if not _has_same_labels(store, images, damaged):
            raise InputError(
                f"{store.url}: its labels are damaged, and those of {images.spec} {images.split} changed since it was "
                "made; run `relabel` to bring them in, then verify again"
            )
        write_image_shards(store.objects, images, store.image_shard, damaged, [IMAGE_LABEL])
        write_root(store.objects, {**store.attributes, "label_digest": listed_label_digest(images)})


def _in_order(store: Store, images: ImageList) -> ImageList:
    """`images` in the store's order, without those the store has not; InputError if it is not the store's list."""
    try:
        places = images.ids.places(Texts.of(store.read(IMAGE_ID, slice(None)).tolist()))
    except DamagedStoreError:  # the digest says whether the data set's own order is theirs
        places = np.array([-1])
    found = images.columns[: len(store)] if (places < 0).any() else images.columns.take(places)
    images = replace(images, records=found)
    if images.digest() != store.digest:
        raise InputError(f"{images.spec} {images.split}: not the image list of {store.url}; name the right --data")
    return images


def _has_same_labels(store: Store, images: ImageList, damaged: Sequence[int]) -> bool:
    """Whether labels and classes are what they were: by the root's digest, or else by the shards that are whole."""
    a = store.attributes
    if a.get(LABELS) == UNFINISHED:
        return False
    if (a["class_names"], a["category_ids"]) != (list(images.class_names), list(images.category_ids)):
        return False
    if "label_digest" in a:
        return bool(a["label_digest"] == listed_label_digest(images))
    rows = [row for k in store.image_shards if k not in damaged for row in range(*store.image_bounds(k))]
    return np.array_equal(store.read(IMAGE_LABEL, rows), images.label_matrix()[rows])
