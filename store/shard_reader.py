"""Reads single images out of shards: the index of each shard is fetched once and kept.

A random read costs one ranged read and one decompression an array. Every byte is checked against its crc32c.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from store.layout import ArrayLayout
from store.objects import Objects
from store.shards import DamagedError, decode_chunk, decode_index, index_size, locate

T = TypeVar("T")


class ShardReader:
    """Chunks and rows of arrays by shard index and slot; raises DamagedError for whatever is missing or not whole.

    cached: number of shard indexes (16 bytes an image) and of decoded scalar chunks kept, each.
    """

    def __init__(self, objects: Objects, cached: int = 50_000) -> None:
        self._objects = objects
        self._indexes = _Recent[np.ndarray](cached)
        self._scalars = _Recent[np.ndarray](cached)
        self._held: dict[str, bytes] = {}

    @contextmanager
    def holding(self, keys: Iterable[str]) -> Iterator[None]:
        """Read whole shards together and serve from them: for a caller that is about to read every image of them."""
        before = self._held
        self._held = before | self._objects.read_many(keys)
        try:
            yield
        finally:
            self._held = before

    def row(self, layout: ArrayLayout, row: int) -> np.ndarray:
        """One image's values: (row_shape), read-only."""
        index, slot = divmod(row, layout.shard)
        if layout.packed:
            return np.asarray(self.packed(layout, index)[slot])
        return self._retried(layout, index, lambda: self._decoded(layout, index, slot))[0]

    def packed(self, layout: ArrayLayout, index: int) -> np.ndarray:
        """All values of a shard of a packed array: (shard, *row_shape), read-only."""
        key = layout.key(index)
        values = self._scalars.get(key)
        if values is None:
            values = self.packed_once(layout, index)
            self._scalars.put(key, values)
        return values

    def packed_once(self, layout: ArrayLayout, index: int) -> np.ndarray:
        """As `packed`, for a caller that keeps what it needs."""
        return self._retried(layout, index, lambda: self._all(layout, index))

    def chunk(self, layout: ArrayLayout, index: int, slot: int) -> bytes:
        """The encoded bytes of an inner chunk; its checksum is the caller's to check."""
        start, stop = locate(self._index(layout, index), slot)
        return self._read(layout.key(index), start, stop)

    def chunks(self, wanted: Sequence[tuple[ArrayLayout, int, int]]) -> list[bytes]:
        """As `chunk` of each (layout, shard, slot): in one round trip, and one before it for indexes not known yet."""
        slots = {layout.key(index): layout.slots for layout, index, _ in wanted}
        indexes = {key: found for key in slots if (found := self._indexes.get(key)) is not None}
        unknown = [key for key in slots if key not in indexes]
        tails = self._objects.read_ranges([(key, -index_size(slots[key]), None) for key in unknown])
        for key, tail in zip(unknown, tails, strict=True):
            indexes[key] = decode_index(_present(tail), slots[key])
            self._indexes.put(key, indexes[key])
        keys = (layout.key(index) for layout, index, _ in wanted)
        places = [(key, *locate(indexes[key], slot)) for key, (_, _, slot) in zip(keys, wanted, strict=True)]
        return [_present(data) for data in self._objects.read_ranges(places)]

    def forget(self, layout: ArrayLayout, index: int) -> None:
        """Drop what is kept of a shard."""
        self._indexes.drop(layout.key(index))
        self._scalars.drop(layout.key(index))

    def _all(self, layout: ArrayLayout, index: int) -> np.ndarray:
        """The one chunk of a packed array's shard; the shard is small and read at once, its index included."""
        data = self._read(layout.key(index), None, None)
        start, stop = locate(decode_index(data[-index_size(layout.slots) :], layout.slots), 0)
        return decode_chunk(data[start:stop], layout.chunk_shape, layout.numpy_dtype)

    def _decoded(self, layout: ArrayLayout, index: int, slot: int) -> np.ndarray:
        return decode_chunk(self.chunk(layout, index, slot), layout.chunk_shape, layout.numpy_dtype)

    def _retried(self, layout: ArrayLayout, index: int, read: Callable[[], np.ndarray]) -> np.ndarray:
        """A shard may have been rewritten since its index was kept: look again before calling it damaged."""
        try:
            return read()
        except DamagedError:
            self.forget(layout, index)
            return read()

    def _index(self, layout: ArrayLayout, index: int) -> np.ndarray:
        key = layout.key(index)
        found = self._indexes.get(key)
        if found is None:
            found = decode_index(self._read(key, -index_size(layout.slots), None), layout.slots)
            self._indexes.put(key, found)
        return found

    def _read(self, key: str, start: int | None, stop: int | None) -> bytes:
        if key in self._held:
            return self._held[key][start:stop]
        try:
            return self._objects.read(key, start, stop)
        except FileNotFoundError as error:
            raise DamagedError("the shard is missing") from error


def _present(data: bytes | None) -> bytes:
    if data is None:
        raise DamagedError("the shard is missing")
    return data


class _Recent(OrderedDict[str, T]):
    """A dictionary that keeps the most recently used entries."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity

    def get(self, key: str) -> T | None:  # type: ignore[override]
        if key not in self:
            return None
        self.move_to_end(key)
        return self[key]

    def put(self, key: str, value: T) -> None:
        self[key] = value
        if len(self) > self._capacity:
            self.popitem(last=False)

    def drop(self, key: str) -> None:
        self.pop(key, None)
