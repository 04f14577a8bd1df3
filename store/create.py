"""Creating, opening and extending stores: the door to write (store/store.py reads)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from data.errors import InputError
from data.records import GREY_BITS, MAX_PIXELS, ImageList, Records
from store.documents import group_document
from store.identity import DOCUMENTS, stage_documents
from store.images import listed_label_digest, only_listed
from store.labels import label_changes
from store.layout import (
    FORMAT,
    IMAGE_ARRAYS,
    IMAGE_ID,
    IMAGE_LABEL,
    IMAGE_SIZE,
    ArrayLayout,
    array_documents,
    image_layouts,
    image_shard,
    is_own_key,
    parse_array,
)
from store.lock import STORE, creation_lock, live_lock, lock_key
from store.objects import Objects
from store.root import (
    COPY,
    IMAGE_SHARD,
    KIND,
    LABELS,
    LARGEST_SHARD,
    ROOT,
    UNFINISHED,
    is_unfinished,
    lost_root,
    read_root,
    unfinished_root,
)
from store.shards import checksum, encode_chunk, encode_shard
from store.storage import open_objects
from store.store import Store

LEAST_SHARD, MOST_SHARD, SHARDS = 32, 512, 8192


def default_shard(images: int) -> int:
    """Images a shard of a new store of so many: 32 up to a quarter of a million, then twice as many for twice the
    images up to 512, so that there are some thousand shards and not a million (docs/scale.md). It is by their number
    alone: the same command gives the same bytes."""
    wanted = 1 << max(0, -(-images // SHARDS) - 1).bit_length()
    return min(MOST_SHARD, max(LEAST_SHARD, wanted))


def create_or_open(
    url: str,
    images: ImageList,
    *,
    shard: int | None = None,
    overwrite: bool = False,
    patient: bool = False,
    tell: Callable[[str], None] = lambda message: None,
) -> Store:
    """The store of `images` at `url`: created, opened, or extended where images were added to the data set.

    Added images go behind those the store has (`Store.align` gives the list in store order); nothing is recomputed.
    shard: images a shard, by `default_shard` for a new store; an existing store keeps its own and refuses another.
    overwrite: a store of another image list is made anew, without its stages. Only what a store wrote is ever removed.
    patient: wait for another that makes it just now. tell: hears of each change of labels before it is written.
    Raises InputError naming what differs, or for a place that holds anything else.
    """
    if not len(images):
        raise InputError(f"{images.spec} {images.split}: no images")
    if not images.class_names:
        raise InputError(f"{images.spec}: no classes; image-level labels are what everything is trained from")
    if shard is not None and not 1 <= shard <= LARGEST_SHARD:
        raise InputError(f"store.shard: {shard} is not within 1 to {LARGEST_SHARD}")
    objects = open_objects(url)
    attributes = read_root(objects)
    if attributes is None:
        _refuse_occupied(objects)
    elif not is_unfinished(attributes):
        store = Store(objects, attributes)
        added, differences = _compare(store, images, shard)
        if differences and not overwrite:
            raise _difference(url, differences)
        if not differences and not len(added) and _is_labelled(store, store.align(images)):
            return store
    with creation_lock(objects, patient=patient):
        return _made(objects, images, shard, overwrite, tell)


def _is_labelled(store: Store, aligned: ImageList) -> bool:
    return not label_changes(store, aligned) and _labelled(store, aligned) == store.attributes


def _labelled(store: Store, aligned: ImageList) -> dict[str, Any]:
    """The attributes of a store with the labels and classes of `aligned`, its images."""
    kept = {k: v for k, v in store.attributes.items() if k not in (LABELS, "max_pixels")}
    return kept | _image_attributes(aligned)


def _made(
    objects: Objects, images: ImageList, shard: int | None, overwrite: bool, tell: Callable[[str], None]
) -> Store:
    """See `create_or_open`; by who alone writes the store."""
    url, attributes = objects.url, read_root(objects)
    if attributes is None:
        _refuse_occupied(objects)
    elif not is_unfinished(attributes):
        store = Store(objects, attributes)
        added, differences = _compare(store, images, shard)
        if not differences:
            store = relabel(store, only_stored(store, images), tell)
            return _extend(store, images, added) if len(added) else store
        if not overwrite:
            raise _difference(url, differences)
        refuse_if_running(store)
    return _create(objects, images, shard or default_shard(len(images)))


def _difference(url: str, differences: Sequence[str]) -> InputError:
    """Why the store at `url` can not be continued."""
    if all(difference.startswith(("class_names", "category_ids")) for difference in differences):
        return InputError(
            f"{url}: the data set's classes changed: {'; '.join(differences)}. `relabel` brings them in, "
            "nothing is computed again"
        )
    return InputError(
        f"{url}: it holds another image list or layout; these differ: {'; '.join(differences)}. "
        "Choose another --store, or --overwrite to delete this one with all its stages"
    )


def _refuse_occupied(objects: Objects) -> None:
    """Raises InputError where something lies that no store of ours explains: it may be the user's."""
    if cure := lost_root(objects):
        raise InputError(f"{objects.url}: {cure}")
    passing = (f"{ROOT}.", lock_key(STORE))
    found = next((key for key, _ in objects.entries("") if not key.startswith(passing)), None)
    if found is not None:
        raise InputError(f"{objects.url}: holds other files ('{found}' among them); choose a --store that is empty")


def _create(objects: Objects, images: ImageList, shard: int) -> Store:
    """Make a store, or make it anew. As long as that lasts its root says so: whatever is killed begins again."""
    if len(firsts := images.ids.firsts()) < len(images):
        twice = images.ids[int(np.setdiff1d(np.arange(len(images)), firsts)[0])]
        raise InputError(f"{images.spec} {images.split}: image '{twice}' is listed twice")
    objects.write(ROOT, group_document(unfinished_root()))
    objects.delete_many(
        [key for key, _ in objects.entries("") if is_own_key(key) and key not in (ROOT, lock_key(STORE))]
    )
    wide = image_shard(len(images.class_names))
    write_image_shards(objects, images, wide, range(-(-len(images) // wide)))
    attributes = {"format": FORMAT, "kind": KIND, **_image_attributes(images), "shard": shard, IMAGE_SHARD: wide}
    return write_root(objects, attributes)


def write_root(objects: Objects, attributes: dict[str, Any]) -> Store:
    """Documents of arrays, the copy of the root, the root last: only then is the store what it says."""
    wide = attributes.get(IMAGE_SHARD, attributes["shard"])
    layouts = image_layouts(attributes["n_images"], len(attributes["class_names"]), wide)
    documents = array_documents(layouts)
    images = {key: checksum(document) for key, document in documents.items() if key.startswith("images/")}
    attributes = {**attributes, DOCUMENTS: images}
    for key, document in {**documents, COPY: group_document(attributes), ROOT: group_document(attributes)}.items():
        objects.write(key, document)
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
        "label_digest": listed_label_digest(images),
        **{name: value for name, (value, default) in others.items() if value != default},
    }


def write_image_shards(
    objects: Objects, images: ImageList, shard: int, indexes: Sequence[int], names: Sequence[str] = IMAGE_ARRAYS
) -> None:
    """Write the given shards of the arrays `names` of the image list, of `shard` images each."""
    columns: dict[str, Callable[[int, int], Any]] = {
        IMAGE_ID: lambda first, stop: list(images.ids[first:stop]),
        IMAGE_SIZE: lambda first, stop: images.size_matrix()[first:stop],
        IMAGE_LABEL: images.label_matrix,
    }
    objects.write_many(
        (layout.key(k), _encoded(layout, columns[layout.name](k * shard, (k + 1) * shard)))
        for layout in image_layouts(len(images), len(images.class_names), shard)
        if layout.name in names
        for k in indexes
    )


def _encoded(layout: ArrayLayout, values: Any) -> bytes:
    """The bytes of a shard of a packed array from the values of its images, filled up with the fill value."""
    chunk = np.full(layout.chunk_shape, "" if layout.dtype == "str" else 0, layout.numpy_dtype)
    chunk[: len(values)] = values
    return encode_shard([encode_chunk(chunk)])


def _compare(store: Store, images: ImageList, shard: int | None) -> tuple[Records, list[str]]:
    """(images the store lacks, fields that differ so that the store can not be continued)."""
    stored = store.listed()
    differences = []
    if shard is not None and shard != store.shard:
        differences.append(f"store.shard: {store.shard} stored, {shard} now")
    was = {**store.attributes, **store.decoding}
    now = {
        "class_names": list(images.class_names),
        "category_ids": list(images.category_ids),
        "exif": images.exif,
        "grey_bits": images.grey_bits,
    }
    differences += [f"{name}: {was[name]} stored, {value} now" for name, value in now.items() if was[name] != value]
    places = images.ids.places(stored.ids)
    there = np.flatnonzero(places >= 0)
    if len(gone := np.flatnonzero(places < 0)):
        differences.append(f"images: {len(gone)} of {len(stored)} are gone ('{stored.ids[gone[0]]}' first)")
    resized = there[(images.size_matrix()[places[there]] != stored.sizes[there]).any(1)]
    if len(resized):
        differences.append(f"images: {len(resized)} have another size ('{stored.ids[resized[0]]}' first)")
    added = np.flatnonzero(stored.ids.places(images.ids) < 0)
    return images.columns.take(added), differences


def _extend(store: Store, images: ImageList, added: Records) -> Store:
    """Append images: their shards first, array shapes next, the root last. An interrupted extension is begun again."""
    refuse_if_running(store)
    old = store.align(only_stored(store, images)).columns
    longer = replace(images, records=Records.joined(old, added))
    touched = range(len(old) // store.image_shard, -(-len(longer) // store.image_shard))
    write_image_shards(store.objects, longer, store.image_shard, touched)
    for group in store.groups():
        _lengthen(store, group, len(longer))
    attributes = {**store.attributes, **_image_attributes(longer), "extended": True}
    return write_root(store.objects, attributes)


def _lengthen(store: Store, group: str, n: int) -> None:
    """Let the arrays of a stage be of `n` images, and its document say so."""
    names = [f"{group}/{name}" for name in store.objects.folders(group) if name != "records"]
    found = [parse_array(name, store.objects.read(f"{name}/{ROOT}")) for name in names]
    identity = store.identity(group)
    assert identity is not None  # `Store.groups` names those that have one
    for key, document in stage_documents(identity, [replace(layout, n=n) for layout in found]).items():
        store.objects.write(key, document)


def only_stored(store: Store, images: ImageList) -> ImageList:
    """`images` without those that the store does not have yet."""
    return only_listed(images, store.listed())


def relabel(store: Store, images: ImageList, tell: Callable[[str], None] = lambda message: None) -> Store:
    """Bring labels, classes and the place of the data set into a store; nothing is computed: no stage reads them.

    Interrupted, the store refuses to tell labels until it is done again. Raises InputError where `images` are not the
    store's images.
    """
    aligned = store.align(images)
    if _is_labelled(store, aligned):
        return store
    changes, attributes = label_changes(store, aligned), _labelled(store, aligned)
    for change in changes:
        tell(f"{store.url}: {change}; the store gets the new labels")
    if changes:
        store.objects.write(ROOT, group_document({**store.attributes, LABELS: UNFINISHED}))
        write_image_shards(store.objects, aligned, store.image_shard, store.image_shards)
    return write_root(store.objects, attributes)


def refuse_if_running(store: Store) -> None:
    """Raises InputError while a run holds a lock on any stage of the store."""
    for group in store.objects.folders(""):
        holder = live_lock(store.objects, group)
        if holder is not None:
            raise InputError(f"{store.url}: stage '{group}' is being computed by {holder}; wait for it to end")
