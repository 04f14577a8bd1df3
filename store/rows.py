"""Values of a store's arrays by image: only those of shards that a completion record vouches for."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from store.completion import Completion, record_key
from store.copies import Copies
from store.errors import DamagedStoreError, IncompleteStoreError
from store.layout import ArrayLayout
from store.outcomes import ShardOutcome
from store.shard_reader import ShardReader
from store.shards import DamagedError, decode_chunk

if TYPE_CHECKING:
    from store.store import Store

SHARDS_TOGETHER = 256  # of a long read, fetched at a time
IMAGES_TOGETHER = 262_144  # of the image list


class _Whole(NamedTuple):
    """What a record vouches for. stop: end of the shard's images; written: when it was recorded; bytes: of its
    objects."""

    stop: int
    written: float
    bytes: int

    @classmethod
    def of(cls, record: Completion | ShardOutcome) -> "_Whole":
        shard = ShardOutcome.of(record) if isinstance(record, Completion) else record
        return cls(shard.stop, shard.written, shard.bytes)


class RowReader:
    """Reads rows of the arrays of a store, and remembers which shards are whole."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self.shards = ShardReader(store.objects)
        self._whole: dict[tuple[str, int], _Whole] = {}

    def remember(self, group: str, record: Completion | ShardOutcome) -> None:
        """A record that counts vouches for its shard."""
        self._whole[group, record.first // self._store.shard] = _Whole.of(record)

    def inherit(self, other: "RowReader") -> None:
        """Take over which shards another reader of the same store knows to be whole."""
        self._whole = other._whole.copy()

    def read(self, layout: ArrayLayout, rows: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """See `Store.read`."""
        if isinstance(rows, int | np.integer):
            return self._shard_rows(layout, [int(rows)])[0]
        shard, n = layout.shard, self._store.n_images
        chosen = range(*rows.indices(n)) if isinstance(rows, slice) else [int(row) for row in rows]
        values = np.empty((len(chosen), *layout.row_shape), layout.numpy_dtype)
        place = 0
        shards = ((index, list(rows)) for index, rows in groupby(chosen, lambda row: row // shard))
        while batch := list(islice(shards, SHARDS_TOGETHER)):
            with self._fetched(layout, [index for index, _ in batch]):
                for _, rows in batch:
                    values[place : place + len(rows)] = self._shard_rows(layout, rows)
                    place += len(rows)
        return values

    def together(
        self, layouts: Sequence[ArrayLayout], rows: Sequence[int], copies: Copies | None = None
    ) -> list[list[np.ndarray]]:
        """See `Store.read_together`."""
        shards = sorted({row // self._store.shard for row in rows})
        for group in {layout.group for layout in layouts}:
            self._know(group, shards)
            for row in rows:
                self._check_whole(group, layouts[0].name, row)
        found = {row: self._copied(layouts, row, copies) for row in dict.fromkeys(rows)} if copies else {}
        wanted = [row for row in dict.fromkeys(rows) if found.get(row) is None]
        try:
            chunks = self.shards.chunks([(one, *divmod(row, one.shard)) for row in wanted for one in layouts])
        except DamagedError:
            chunks = []  # one by one: a shard may have been rewritten; what is damaged is named
        for place, row in enumerate(wanted):
            own = chunks[place * len(layouts) : (place + 1) * len(layouts)]
            values = _decoded(layouts, own) if own else None
            if values is None:
                values = [self._shard_rows(layout, [row])[0] for layout in layouts]
            elif copies:
                copies.put(self._copy_name(layouts, row), own)
            found[row] = values
        return [found[row] or [] for row in rows]

    def _copied(self, layouts: Sequence[ArrayLayout], row: int, copies: Copies) -> list[np.ndarray] | None:
        """An image's values from its copy, if there is a whole one."""
        name = self._copy_name(layouts, row)
        chunks = copies.get(name)
        if chunks is None:
            return None
        values = _decoded(layouts, chunks)
        if values is None:
            copies.drop(name)
        return values

    def _copy_name(self, layouts: Sequence[ArrayLayout], row: int) -> str:
        """By all that says which computation it comes from: what is computed anew has another name."""
        index, groups = row // self._store.shard, sorted({layout.group for layout in layouts})
        identities = [self._store.identity(group) for group in groups]
        shards = [
            (one and one.fingerprint, self._whole[group, index]) for group, one in zip(groups, identities, strict=True)
        ]
        return repr((self._store.url, self._store.digest, row, [layout.name for layout in layouts], shards))

    @contextmanager
    def _fetched(self, layout: ArrayLayout, indexes: Sequence[int]) -> Iterator[None]:
        """With what `_shard_rows` needs of several shards fetched together: records, and shards of packed arrays."""
        if len(indexes) == 1:
            yield
            return
        if layout.group != "images":
            self._know(layout.group, indexes)
        with self.shards.holding(layout.key(index) for index in indexes if layout.packed):
            yield

    def _know(self, group: str, indexes: Sequence[int]) -> None:
        """Read the records of shards that are not known to be whole, together."""
        unknown = [index for index in indexes if (group, index) not in self._whole]
        if unknown:
            keys = (record_key(group, *self._store.bounds(index)) for index in unknown)
            for record in self._store.completions(group, keys):
                self.remember(group, record)

    def _check_whole(self, group: str, name: str, row: int) -> None:
        """Raises IncompleteStoreError unless image `row` of a stage was computed."""
        if row >= self._whole_until(group, row // self._store.shard):
            raise IncompleteStoreError(
                f"{self._store.url}: {name}: image {row} was not computed; run precompute for stage '{group}'"
            )

    def _shard_rows(self, layout: ArrayLayout, rows: list[int]) -> np.ndarray:
        """Values of images of one shard: (n, *row_shape)."""
        if not (min(rows) >= 0 and max(rows) < self._store.n_images):
            raise IndexError(f"image {min(rows)} or {max(rows)} of {self._store.n_images}")
        index = rows[0] // layout.shard
        if layout.group != "images":
            self._check_whole(layout.group, layout.name, max(rows))
        slots = [row % layout.shard for row in rows]
        try:
            if layout.packed:
                return self.shards.packed(layout, index)[slots]
            if len(slots) == 1:
                return self.shards.row(layout, rows[0])[None]
            return np.stack([self.shards.row(layout, row) for row in rows])
        except DamagedError as error:
            raise self._explained(error, layout, index) from error

    def image_parts(self, names: Sequence[str], indexes: Iterable[int]) -> Iterator[tuple[np.ndarray, ...]]:
        """Values of arrays of the image list, shard by shard, of which nothing is kept. Raises DamagedStoreError."""
        layouts = [self._store.layout(name) for name in names]
        remaining = iter(indexes)
        while batch := list(islice(remaining, min(SHARDS_TOGETHER, max(1, IMAGES_TOGETHER // layouts[0].shard)))):
            with self.shards.holding([layout.key(k) for layout in layouts for k in batch] if len(batch) > 1 else ()):
                found = [tuple(self._image_shard(layout, index) for layout in layouts) for index in batch]
            yield from found

    def _image_shard(self, layout: ArrayLayout, index: int) -> np.ndarray:
        try:
            return self.shards.packed_once(layout, index)[: layout.n - index * layout.shard]
        except DamagedError as error:
            raise self._explained(error, layout, index) from error

    def _explained(self, error: DamagedError, layout: ArrayLayout, index: int) -> DamagedStoreError:
        first, stop = index * layout.shard, min((index + 1) * layout.shard, self._store.n_images)
        where = f"{layout.name}, images {first}:{stop}, {layout.key(index)}"
        return DamagedStoreError(f"{self._store.url}: {where}: {error}; run verify --repair")

    def _whole_until(self, group: str, index: int) -> int:
        """End of the images of shard `index` that are whole; remembered once there are any."""
        known = self._whole.get((group, index))
        if known is None:
            record = self._store.completion(group, index)
            if record is None:
                return 0
            known = self._whole[group, index] = _Whole.of(record)
        return known.stop


def _decoded(layouts: Sequence[ArrayLayout], chunks: Sequence[bytes]) -> list[np.ndarray] | None:
    """The values in the encoded chunks of one image, checksums first; None where one is not whole."""
    try:
        pairs = zip(layouts, chunks, strict=True)
        return [decode_chunk(chunk, layout.chunk_shape, layout.numpy_dtype)[0] for layout, chunk in pairs]
    except (DamagedError, ValueError):
        return None
