"""Re-reads every byte of a store and names what is damaged or missing; store/repair.py mends it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from data.errors import InputError
from store.completion import Completion, read_completions, recorded_shards
from store.documents import DocumentError, group_attributes
from store.errors import DamagedStoreError, IncompleteStoreError
from store.identity import DOCUMENTS
from store.layout import ArrayLayout, image_layouts
from store.outcomes import ShardOutcome
from store.root import COPY, ROOT, read_root
from store.shards import DamagedError, checksum, decode_chunk, decode_index, index_size, locate
from store.storage import open_objects
from store.store import Store, open_store
from store.summary import damaged_summaries


@dataclass(frozen=True)
class Damage:
    """One damaged object.

    group, index: stage (or "images") and shard. rows: the images to compute again; none for a metadata document.
    key: the object; problem: what is wrong.
    """

    group: str
    index: int
    rows: tuple[int, ...]
    key: str
    problem: str

    def describe(self, store: Store) -> str:
        """array, images, shard, problem."""
        array = "/".join(self.key.split("/")[:2])
        if not self.rows:
            return f"{array}: all images: {self.key}: {self.problem}"
        ids = _ids(store) if self.group != "images" else ()
        first, stop = store.image_bounds(self.index) if self.group == "images" else store.bounds(self.index)
        which = f"images {first}:{stop}"
        if ids and len(self.rows) < stop - first:
            which = ", ".join(f"image {row} ({ids[row]})" for row in self.rows[:4])
            which += f" and {len(self.rows) - 4} more" if len(self.rows) > 4 else ""
        return f"{array}: {which}: shard {self.key}: {self.problem}"


def _ids(store: Store) -> Sequence[str]:
    try:
        return store.images().ids
    except DamagedStoreError:
        return ()


@dataclass
class Verification:
    """Outcome: objects and bytes read, images not computed yet by group, damage found."""

    objects: int = 0
    bytes: int = 0
    pending: dict[str, int] = field(default_factory=dict)
    damage: list[Damage] = field(default_factory=list)


def verify_store(store: Store) -> Verification:
    """Read every document, every image shard, every record, and every object that a record names."""
    result = Verification()
    result.damage.extend(_verify_root(store))
    result.damage.extend(_verify_images(store, result))
    for group in store.objects.folders(""):
        if group != "images":
            result.damage.extend(_verify_group(store, group, result))
    return result


def open_damaged(url: str) -> Store:
    """A store to verify: as its root says or, where that is lost or damaged, as the root's copy says."""
    try:
        return open_store(url)
    except IncompleteStoreError:
        raise
    except InputError as error:
        objects = open_objects(url)
        try:
            copy = read_root(objects, COPY)
        except InputError:
            copy = None
        if copy is None:
            raise error
        return Store(objects, copy)


def _verify_root(store: Store) -> Iterator[Damage]:
    """The root, its copy, and the documents of the image list."""
    documents = {key: _read(store, key) for key in (ROOT, COPY)}
    try:
        if read_root(store.objects) is None:
            yield Damage(ROOT, 0, (), ROOT, "missing")
    except InputError as error:
        yield Damage(ROOT, 0, (), ROOT, str(error).partition(": ")[2])
    else:
        if DOCUMENTS in store.attributes and documents[ROOT] is not None and documents[COPY] != documents[ROOT]:
            yield Damage(ROOT, 0, (), COPY, "is not a copy of the root")
    yield from _verify_documents(store, ROOT, store.attributes.get(DOCUMENTS))


def _verify_documents(store: Store, group: str, stated: object) -> Iterator[Damage]:
    """zarr.json of arrays by the checksums that their group's document states (older versions stated none)."""
    for key, expected in stated.items() if isinstance(stated, Mapping) else ():
        document = _read(store, key)
        if document is None or checksum(document) != expected:
            yield Damage(group, 0, (), key, "missing" if document is None else "does not match its checksum")


def _read(store: Store, key: str) -> bytes | None:
    try:
        return store.objects.read(key)
    except FileNotFoundError:
        return None


def damaged_rows(damage: Iterable[Damage], group: str) -> dict[int, frozenset[int]]:
    """Shard index -> images of a stage that are damaged."""
    rows: dict[int, set[int]] = defaultdict(set)
    for found in damage:
        if found.group == group and found.rows:
            rows[found.index].update(found.rows)
    return {index: frozenset(found) for index, found in rows.items()}


def _verify_images(store: Store, result: Verification) -> Iterator[Damage]:
    n_classes = len(store.attributes["class_names"])
    whole = True
    for layout in image_layouts(len(store), n_classes, store.image_shard):
        for index in store.image_shards:
            rows = tuple(range(*store.image_bounds(index)))
            try:
                data = store.objects.read(layout.key(index))
                result.objects += 1
                result.bytes += len(data)
                _check_chunks(layout, data, [0])
            except FileNotFoundError:
                whole = False
                yield Damage("images", index, rows, layout.key(index), "missing")
            except DamagedError as error:
                whole = False
                yield Damage("images", index, rows, layout.key(index), str(error))
    if whole and (problem := _problem_of_labels(store)):
        for index in store.image_shards:
            yield Damage("images", index, tuple(range(*store.image_bounds(index))), layout.key(index), problem)


def _problem_of_labels(store: Store) -> str | None:
    try:
        return None if store.has_whole_labels() else "the labels do not match their digest"
    except InputError as error:
        return str(error).partition(": ")[2]


def _verify_group(store: Store, group: str, result: Verification) -> Iterator[Damage]:
    recorded = recorded_shards(store.objects, group, store.shard)
    try:
        identity = store.identity(group)
        problem = "missing"
    except DamagedStoreError as error:
        identity, problem = None, str(error)
    if identity is None and recorded:
        yield Damage(group, 0, (), f"{group}/{ROOT}", problem)
        return
    yield from _verify_documents(store, group, _stated(store, group))
    done = 0
    seen: set[int] = set()
    found: list[ShardOutcome] = []
    unreadable: set[str] = set()
    keys = (recorded[index].key for index in sorted(recorded))
    for record in read_completions(store.objects, keys):
        index = record.first // store.shard
        seen.add(index)
        if identity is None or record.fingerprint != identity.fingerprint:
            continue
        done += len(record.images)
        found.append(ShardOutcome.of(record))
        if _of_other_images(store, record):
            key = recorded[index].key
            yield Damage(group, index, tuple(range(*store.bounds(index))), key, "the record is of other images")
        else:
            yield from _verify_shard(store, group, record, unreadable, result)
    for key, problem in damaged_summaries(store, group, found):
        yield Damage(group, 0, (), key, problem)
    for index, (key, stop, _) in recorded.items():
        if index not in seen:
            rows = tuple(range(index * store.shard, min(stop, store.n_images)))
            yield Damage(group, index, rows, key, "the completion record is no whole record")
    result.pending[group] = len(store) - done


def _stated(store: Store, group: str) -> object:
    try:
        return group_attributes(store.objects.read(f"{group}/{ROOT}")).get(DOCUMENTS)
    except (FileNotFoundError, DocumentError):
        return None


def _of_other_images(store: Store, record: Completion) -> bool:
    """False too where the image list is damaged, which is told elsewhere."""
    try:
        return not store.lists(record)
    except (DamagedStoreError, IncompleteStoreError):
        return False


def _verify_shard(
    store: Store, group: str, record: Completion, unreadable: set[str], result: Verification
) -> Iterator[Damage]:
    """unreadable: arrays whose zarr.json was found damaged, so that it is told once."""
    index = record.first // store.shard
    every = tuple(range(record.first, record.stop))
    for key, written in record.objects.items():
        name = "/".join(key.split("/")[:2])
        layout = _layout(store, name)
        if layout is None and name not in unreadable:
            unreadable.add(name)
            yield Damage(group, 0, (), f"{name}/{ROOT}", "missing or damaged")
        try:
            data = store.objects.read(key)
        except FileNotFoundError:
            yield Damage(group, index, every, key, "missing")
            continue
        result.objects += 1
        result.bytes += len(data)
        if len(data) == written.size and checksum(data) == written.crc32c:
            continue
        problem = f"{len(data)} bytes instead of {written.size}"
        if len(data) == written.size:
            problem = f"crc32c {checksum(data)} instead of {written.crc32c}"
        rows = _damaged_slots(layout, data, record) if layout is not None else ()
        yield Damage(group, index, rows or every, key, problem)


def _layout(store: Store, name: str) -> ArrayLayout | None:
    try:
        return store.layout(name)
    except InputError:
        return None


def _damaged_slots(layout: ArrayLayout, data: bytes, record: Completion) -> tuple[int, ...]:
    """Images of a damaged shard whose own chunk is damaged; () if that can not be told."""
    if layout.packed:
        return ()
    damaged = []
    for row in range(record.first, record.stop):
        try:
            _check_chunks(layout, data, [row - record.first])
        except DamagedError:
            damaged.append(row)
    return tuple(damaged)


def _check_chunks(layout: ArrayLayout, data: bytes, slots: Iterable[int]) -> None:
    index = decode_index(data[-index_size(layout.slots) :], layout.slots)
    for slot in slots:
        start, stop = locate(index, slot)
        decode_chunk(data[start:stop], layout.chunk_shape, layout.numpy_dtype)
