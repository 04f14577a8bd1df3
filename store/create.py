"""Creating, opening and extending stores: the door to write (store/store.py reads)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from data.errors import InputError
from data.records import GREY_BITS, MAX_PIXELS, ImageList, ImageRecord
from store.labels import label_changes
from store.layout import FORMAT, ArrayLayout, array_documents, group_document, image_layouts, parse_array
from store.lock import live_lock
from store.objects import Objects
from store.shards import encode_chunk, encode_shard
from store.storage import open_objects
from store.store import KIND, LABELS, ROOT, UNFINISHED, Store, read_root

DEFAULT_SHARD = 32


def create_or_open(
    url: str,
    images: ImageList,
    *,
    shard: int | None = None,
    overwrite: bool = False,
) -> Store:
    """The store of `images` at `url`: created, opened, or extended where images were added to the data set.

    Added images go behind those the store has (`Store.align` gives the list in store order); nothing is recomputed.
    shard: images a shard, 32 for a new store; an existing store keeps its own and refuses another.
    overwrite: a store of another image list is deleted, with all its stages.
    Raises InputError naming what differs.
    """
    if not len(images):
        raise InputError(f"{images.spec} {images.split}: no images")
    if not images.class_names:
        raise InputError(f"{images.spec}: no classes; image-level labels are what everything is trained from")
    if shard is not None and not 1 <= shard <= 65_536:
        raise InputError(f"store.shard: {shard} is not within 1 to 65536")
    objects = open_objects(url)
    attributes = read_root(objects)
    if attributes is not None:
        store = Store(objects, attributes)
        added, differences = _compare(store, images, shard)
        if not differences:
            store = relabel(store, only_stored(store, images))
            return _extend(store, images, added) if added else store
        if not overwrite:
            if all(difference.startswith(("class_names", "category_ids")) for difference in differences):
                raise InputError(
                    f"{url}: the data set's classes changed: {'; '.join(differences)}. `relabel` brings them in, "
                    "nothing is computed again"
                )
            raise InputError(
                f"{url}: it holds another image list or layout; these differ: {'; '.join(differences)}. "
                "Choose another --store, or --overwrite to delete this one with all its stages"
            )
        refuse_if_running(store)
        objects.delete(ROOT)
        objects.delete_tree("")
    return _create(objects, images, shard or DEFAULT_SHARD)


def _create(objects: Objects, images: ImageList, shard: int) -> Store:
    """Shards of the image list first, the root last: without its root a store does not exist."""
    ids = [record.id for record in images.records]
    if len(set(ids)) != len(ids):
        twice = next(i for place, i in enumerate(ids) if i in ids[:place])
        raise InputError(f"{images.spec} {images.split}: image '{twice}' is listed twice")
    layouts = image_layouts(len(images), len(images.class_names), shard)
    write_image_shards(objects, layouts, images, range(-(-len(images) // shard)))
    for key, document in {"images/zarr.json": group_document({}), **array_documents(layouts)}.items():
        objects.write(key, document)
    attributes = {"format": FORMAT, "kind": KIND, **_image_attributes(images), "shard": shard}
    objects.write(ROOT, group_document(attributes))
    return Store(objects, attributes)


def _image_attributes(images: ImageList) -> dict[str, Any]:
    others = {"max_pixels": (images.max_pixels, MAX_PIXELS), "grey_bits": (images.grey_bits, GREY_BITS)}
    return {
        "spec": images.spec,
        "split": images.split,
        "exif": images.exif,
        "class_names": list(images.class_names),
        "category_ids": list(images.category_ids),
        "n_images": len(images),
        "digest": images.digest(),
        **{name: value for name, (value, default) in others.items() if value != default},
    }


def write_image_shards(
    objects: Objects, layouts: Sequence[ArrayLayout], images: ImageList, indexes: Sequence[int]
) -> None:
    """Write the given shards of images/id, images/size and images/label."""
    ids = np.array([record.id for record in images.records], object)
    sizes, labels = images.size_matrix(), images.label_matrix()
    columns = list(zip(layouts, (ids, sizes, labels), strict=True))
    objects.write_many(
        (layout.key(index), encode_shard([encode_chunk(padded(layout, values, index))]))
        for layout, values in columns
        for index in indexes
    )


def padded(layout: ArrayLayout, values: np.ndarray, index: int) -> np.ndarray:
    """Shard `index` of `values` as a full inner chunk of a packed array, filled up with the fill value."""
    part = values[index * layout.shard : (index + 1) * layout.shard]
    chunk = np.full(layout.chunk_shape, "" if layout.dtype == "str" else 0, layout.numpy_dtype)
    chunk[: len(part)] = part
    return chunk


def _compare(store: Store, images: ImageList, shard: int | None) -> tuple[list[ImageRecord], list[str]]:
    """(images the store lacks, fields that differ so that the store can not be continued)."""
    stored, attributes = store.listed(), store.attributes
    differences = []
    if shard is not None and shard != store.shard:
        differences.append(f"store.shard: {store.shard} stored, {shard} now")
    for name in ("class_names", "category_ids", "exif"):
        now = _image_attributes(images)[name]
        if attributes[name] != now:
            differences.append(f"{name}: {attributes[name]} stored, {now} now")
    if (was := store.decoding["grey_bits"]) != images.grey_bits:
        differences.append(f"grey_bits: {was} stored, {images.grey_bits} now")
    by_id = {record.id: record for record in images.records}
    gone = [i for i in stored.ids if i not in by_id]
    if gone:
        differences.append(f"images: {len(gone)} of {len(stored)} are gone ('{gone[0]}' first)")
    resized = [i for i, size in zip(stored.ids, stored.sizes.tolist(), strict=True) if _size(by_id.get(i)) != size]
    resized = [i for i in resized if i in by_id]
    if resized:
        differences.append(f"images: {len(resized)} have another size ('{resized[0]}' first)")
    known = set(stored.ids)
    return [record for record in images.records if record.id not in known], differences


def _size(record: ImageRecord | None) -> list[int] | None:
    return list(record.size) if record else None


def _extend(store: Store, images: ImageList, added: Sequence[ImageRecord]) -> Store:
    """Append images: their shards first, array shapes next, the root last. An interrupted extension is begun again."""
    refuse_if_running(store)
    by_id = {record.id: record for record in images.records}
    old = tuple(by_id[i] for i in store.listed().ids)
    longer = replace(images, records=(*old, *added))
    layouts = image_layouts(len(longer), len(images.class_names), store.shard)
    touched = range(len(old) // store.shard, -(-len(longer) // store.shard))
    write_image_shards(store.objects, layouts, longer, touched)
    for group in store.groups():
        arrays = [f"{group}/{name}" for name in store.objects.folders(group) if name != "records"]
        found = [parse_array(name, store.objects.read(f"{name}/{ROOT}")) for name in arrays]
        layouts = (*layouts, *(replace(layout, n=len(longer)) for layout in found))
    for key, document in array_documents(layouts).items():
        store.objects.write(key, document)
    attributes = {**store.attributes, **_image_attributes(longer), "extended": True}
    store.objects.write(ROOT, group_document(attributes))
    return Store(store.objects, attributes)


def only_stored(store: Store, images: ImageList) -> ImageList:
    """`images` without those that the store does not have yet."""
    known = set(store.listed().ids)
    return replace(images, records=tuple(record for record in images.records if record.id in known))


def relabel(store: Store, images: ImageList) -> Store:
    """Bring labels, classes and the place of the data set into a store; nothing is computed: no stage reads them.

    Interrupted, the store refuses to tell labels until it is done again. Raises InputError where `images` are not the
    store's images.
    """
    aligned = store.align(images)
    kept = {k: v for k, v in store.attributes.items() if k not in (LABELS, "max_pixels")}
    attributes = kept | _image_attributes(aligned)
    changed = bool(label_changes(store, aligned))
    if changed:
        store.objects.write(ROOT, group_document({**store.attributes, LABELS: UNFINISHED}))
        layouts = image_layouts(len(aligned), len(aligned.class_names), store.shard)
        write_image_shards(store.objects, layouts, aligned, range(store.n_shards))
        for key, document in array_documents(layouts).items():
            store.objects.write(key, document)
    if changed or attributes != store.attributes:
        store.objects.write(ROOT, group_document(attributes))
    return Store(store.objects, attributes)


def refuse_if_running(store: Store) -> None:
    """Raises InputError while a run holds a lock on any stage of the store."""
    for group in store.objects.folders(""):
        holder = live_lock(store.objects, group)
        if holder is not None:
            raise InputError(f"{store.url}: stage '{group}' is being computed by {holder}; wait for it to end")
