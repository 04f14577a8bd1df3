"""Values of a store's arrays by image: only those of shards that a completion record vouches for."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice
from typing import TYPE_CHECKING

import numpy as np

from store.completion import Completion, record_key
from store.errors import DamagedStoreError, IncompleteStoreError
from store.layout import ArrayLayout
from store.outcomes import ShardOutcome
from store.shard_reader import ShardReader
from store.shards import DamagedError

if TYPE_CHECKING:
    from store.store import Store

SHARDS_TOGETHER = 256  # of a long read, fetched at a time
IMAGES_TOGETHER = 1_048_576  # of the image list


class RowReader:
    """Reads rows of the arrays of a store, and remembers which shards are whole."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self.shards = ShardReader(store.objects)
        self._whole: dict[tuple[str, int], int] = {}

    def remember(self, group: str, record: Completion | ShardOutcome) -> None:
        """A record that counts vouches for its shard."""
        self._whole[group, record.first // self._store.shard] = record.stop

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

    @contextmanager
    def _fetched(self, layout: ArrayLayout, indexes: Sequence[int]) -> Iterator[None]:
        """With what `_shard_rows` needs of several shards fetched together: records, and shards of packed arrays."""
        if len(indexes) == 1:
            yield
            return
        group = layout.name.split("/")[0]
        unknown = [index for index in indexes if (group, index) not in self._whole]
        if group != "images":
            keys = (record_key(group, *self._store.bounds(index)) for index in unknown)
            for record in self._store.completions(group, keys):
                self.remember(group, record)
        with self.shards.holding(layout.key(index) for index in indexes if layout.packed):
            yield

    def _shard_rows(self, layout: ArrayLayout, rows: list[int]) -> np.ndarray:
        """Values of images of one shard: (n, *row_shape)."""
        if not (min(rows) >= 0 and max(rows) < self._store.n_images):
            raise IndexError(f"image {min(rows)} or {max(rows)} of {self._store.n_images}")
        index = rows[0] // layout.shard
        group = layout.name.split("/")[0]
        if group != "images" and max(rows) >= self._whole_until(group, index):
            raise IncompleteStoreError(
                f"{self._store.url}: {layout.name}: image {max(rows)} was not computed; run precompute for stage "
                f"'{group}'"
            )
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
        stop = self._whole.get((group, index), 0)
        if not stop:
            record = self._store.completion(group, index)
            if record is not None:
                stop = self._whole[group, index] = record.stop
        return stop
