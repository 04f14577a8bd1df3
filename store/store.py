"""The store: one Zarr v3 group for one image list. Reading it needs neither Dask nor a running engine.

What has no completion record does not exist: reading it is refused, never answered with zeros.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from data.columns import Texts
from data.errors import InputError
from data.records import Decoding, ImageList
from store.completion import Completion, read_completions, record_key, recorded_shards
from store.copies import Copies
from store.documents import group_attributes
from store.errors import DamagedStoreError, IncompleteStoreError
from store.identity import StageIdentity
from store.images import ListedImages, StoredImages, digest_of_parts, pack_labels
from store.layout import IMAGE_ID, IMAGE_LABEL, IMAGE_SIZE, PENDING, ArrayLayout, image_layouts, parse_array
from store.objects import Objects
from store.outcomes import ShardOutcome
from store.root import IMAGE_SHARD, LABELS, ROOT, UNFINISHED, decoding_of, is_unfinished, read_root, whole_root
from store.rows import RowReader
from store.shard_reader import ShardReader
from store.storage import open_objects
from store.summary import read_outcomes


class Store:
    """A store opened for reading. Made by `open_store`; written by `store.create` and `pipeline.runner`.

    attributes: the root group's: format, spec, split, exif, n_images, shard, digest, class_names, category_ids, and
    max_pixels, grey_bits where they are not the usual ones.
    """

    def __init__(self, objects: Objects, attributes: dict[str, Any]) -> None:
        self.objects = objects
        self.attributes = attributes
        self.n_images: int = attributes["n_images"]
        self.shard: int = attributes["shard"]
        self.image_shard: int = attributes.get(IMAGE_SHARD, self.shard)
        self.digest: str = attributes["digest"]
        self._reader = RowReader(self)
        self._layouts: dict[str, ArrayLayout] = {}
        self._identities: dict[str, StageIdentity] = {}
        self._listed: ListedImages | None = None
        self._images: StoredImages | None = None
        self._listed_part: tuple[int, ListedImages] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.objects, self.attributes)

    def __len__(self) -> int:
        return self.n_images

    @property
    def url(self) -> str:
        """Where it lies."""
        return self.objects.url

    @property
    def reader(self) -> ShardReader:
        """Reads shards of one array, checksums first."""
        return self._reader.shards

    @property
    def n_shards(self) -> int:
        """Number of shards along the images."""
        return -(-self.n_images // self.shard)

    def bounds(self, index: int) -> tuple[int, int]:
        """First and last-plus-one image of shard `index`."""
        return index * self.shard, min((index + 1) * self.shard, self.n_images)

    @property
    def image_shards(self) -> range:
        """Indexes of the shards of the image list's arrays."""
        return range(-(-self.n_images // self.image_shard))

    def image_bounds(self, index: int) -> tuple[int, int]:
        """First and last-plus-one image of shard `index` of the image list's arrays."""
        return index * self.image_shard, min((index + 1) * self.image_shard, self.n_images)

    @property
    def decoding(self) -> Decoding:
        """How the images are decoded, for the stages and for the trainer alike."""
        return decoding_of(self.attributes)

    def listed(self) -> ListedImages:
        """Ids and sizes of the images; read once."""
        if self._listed is None:
            listed = ListedImages.joined(list(self._listed_parts(self.image_shards)))
            if listed.digest() != self.digest:
                raise DamagedStoreError(f"{self.url}: images/: ids and sizes do not match the store's digest")
            self._listed = listed
        return self._listed

    def images(self) -> StoredImages:
        """The image list with its labels; read once. Raises InputError where writing new labels was interrupted."""
        if self._images is None:
            a, listed = self.attributes, self.listed()
            labels = np.concatenate([pack_labels(part) for part in self._label_parts()])
            self._images = StoredImages(
                listed.ids, listed.sizes, labels, tuple(a["class_names"]), a["spec"], a["split"]
            )
        return self._images

    def has_whole_labels(self) -> bool:
        """Whether the labels are those that the root speaks of (older versions did not say)."""
        self.listed()  # damage of ids and sizes is another matter
        try:
            return self.attributes.get("label_digest") in (None, digest_of_parts(self._label_parts()))
        except DamagedStoreError:
            return False

    def _label_parts(self) -> Iterator[np.ndarray]:
        """The labels, a shard of the image list at a time."""
        if self.attributes.get(LABELS) == UNFINISHED:
            raise InputError(f"{self.url}: new labels are written only in part; run `relabel` again")
        return (labels for (labels,) in self._reader.image_parts((IMAGE_LABEL,), self.image_shards))

    def align(self, images: ImageList) -> ImageList:
        """`images` in the store's order; refuses a list that differs in an id or a size (paths may differ)."""
        return self.listed().align(images, self.url)

    def locate(self, images: ImageList) -> tuple[ImageList, np.ndarray]:
        """`images` in the store's order, and their rows (n,) int64: all of it for the split that the store was made
        from, which has to be the same list; any part of it for another split.

        Raises InputError, naming them, for images that the store lacks or has in another size.
        """
        if images.split == self.attributes["split"]:
            return self.align(images), np.arange(self.n_images)
        return self.listed().part(images, f"{self.url} (of split '{self.attributes['split']}')")

    def rows(self, ids: Iterable[str]) -> np.ndarray:
        """Rows (n,) int64 of images that the store holds."""
        wanted = Texts.of(ids)
        rows = self.listed().ids.places(wanted)
        if (rows < 0).any():
            raise KeyError(wanted[int(np.flatnonzero(rows < 0)[0])])
        return rows

    def layout(self, name: str) -> ArrayLayout:
        """Shape, dtype and chunks of an array. Raises IncompleteStoreError if the store does not have it."""
        if not self._layouts:  # the image list's by the root, not by their own documents
            layouts = image_layouts(self.n_images, len(self.attributes["class_names"]), self.image_shard)
            self._layouts = {layout.name: layout for layout in layouts}
        if name not in self._layouts:
            try:
                self._layouts[name] = parse_array(name, self.objects.read(f"{name}/{ROOT}"))
            except FileNotFoundError as error:
                raise IncompleteStoreError(f"{self.url}: has no '{name}'; run precompute for its stage") from error
        return self._layouts[name]

    def has(self, name: str) -> bool:
        """Whether the array was laid out."""
        try:
            self.layout(name)
        except IncompleteStoreError:
            return False
        return True

    def groups(self) -> tuple[str, ...]:
        """Groups of the stages that were begun."""
        names = (n for n in self.objects.folders("") if n != "images")
        return tuple(name for name in names if self.identity(name) is not None)

    def groups_in_order(self, groups: Iterable[str]) -> list[str]:
        """Groups sorted so that each comes after those it reads."""

        def depth(group: str) -> int:
            identity = self.identity(group)
            return 1 + max((depth(up) for up in identity.upstream), default=0) if identity else 0

        return sorted(sorted(groups), key=depth)

    def identity(self, group: str) -> StageIdentity | None:
        """Parameters, version, upstream and packages a stage was begun with; None if it was not."""
        if group not in self._identities:
            try:
                attributes = group_attributes(self.objects.read(f"{group}/{ROOT}"))
                self._identities[group] = StageIdentity.from_attributes(attributes)
            except FileNotFoundError:
                return None
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DamagedStoreError(
                    f"{self.url}/{group}/{ROOT}: {error}; run precompute for the stage again, which writes it anew"
                ) from error
        return self._identities[group]

    def stale(self, group: str) -> str | None:
        """Why a stage's results no longer follow from what the store holds upstream, or None."""
        identity = self.identity(group)
        for upstream, fingerprint in identity.upstream.items() if identity else ():
            current = self.identity(upstream)
            if current is None:
                return f"{upstream} is gone"
            if current.fingerprint != fingerprint:
                return f"{upstream} was recomputed with other parameters"
            above = self.stale(upstream)
            if above:
                return above
        return None

    def completion(self, group: str, index: int) -> Completion | None:
        """The record of shard `index`, or None if it is not whole (no record, or one of another stage identity)."""
        first, stop = self.bounds(index)
        try:
            found = Completion.decode(self.objects.read(record_key(group, first, stop)))
        except FileNotFoundError:
            found = self._narrower_completion(group, index)
        return found if found and self._holds(group, found) else None

    def completions(self, group: str, keys: Iterable[str]) -> Iterator[Completion]:
        """Whole records among `keys` that are of the stage's present identity and of this store's images."""
        self.listed()  # read together, and not shard by shard
        return (record for record in read_completions(self.objects, keys) if self._holds(group, record))

    def outcomes(self, group: str, shards: tuple[int, int] | None = None) -> Iterator[ShardOutcome]:
        """What became of the shards of a stage that are whole, of [first, stop) or of all, in the order of images."""
        return read_outcomes(self, group, shards or (0, self.n_shards))

    def _holds(self, group: str, record: Completion) -> bool:
        """Whether a record is of the stage as the store has it, and of the images that the store lists in its rows."""
        identity = self.identity(group)
        return identity is not None and record.fingerprint == identity.fingerprint and self.lists(record)

    def lists(self, record: Completion) -> bool:
        """Whether the images of a record are those that the store lists in its rows."""
        if record.stop > self.n_images:
            return False
        part = self._listed_in(record.first, record.stop)
        return record.digest in ("", part.digest()) and part.ids == [image.id for image in record.images]

    def _listed_in(self, first: int, stop: int) -> ListedImages:
        """Ids and sizes of images [first, stop): of the whole list where it was read, else of their shards alone."""
        if self._listed is not None:
            return self._listed[first:stop]
        index = first // self.image_shard
        start, end = self.image_bounds(index)
        if stop > end:
            return ListedImages.joined([self._listed_in(first, end), self._listed_in(end, stop)])
        if self._listed_part is None or self._listed_part[0] != index:
            self._listed_part = index, next(self._listed_parts([index]))
        return self._listed_part[1][first - start : stop - start]

    def _listed_parts(self, indexes: Iterable[int]) -> Iterator[ListedImages]:
        """Ids and sizes, a shard of the image list at a time."""
        parts = self._reader.image_parts((IMAGE_ID, IMAGE_SIZE), indexes)
        return (ListedImages(Texts.of(ids), sizes) for ids, sizes in parts)

    def _narrower_completion(self, group: str, index: int) -> Completion | None:
        """The last shard's record from before images were added: it covers fewer images than the shard now has."""
        if index != self.n_shards - 1 and not self.attributes.get("extended"):
            return None
        recorded = recorded_shards(self.objects, group, self.shard).get(index)
        return next(read_completions(self.objects, [recorded.key] if recorded else []), None)

    def read(self, name: str, rows: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """Values of an array: (row_shape) for one image, (n, *row_shape) for several.

        Raises IncompleteStoreError for images that were not computed, DamagedStoreError for those that are damaged.
        """
        return self._reader.read(self.layout(name), rows)

    def read_together(
        self, names: Sequence[str], rows: Sequence[int], copies: Copies | None = None
    ) -> list[list[np.ndarray]]:
        """Values of several arrays with rows per image, of each of `rows`: from an object store in one round trip.

        copies: where what is fetched is kept, and looked for first. Raises as `read` does.
        """
        return self._reader.together([self.layout(name) for name in names], rows, copies)

    def reopened(self) -> "Store":
        """The same store with connections of their own, for another process; it knows which shards are whole."""
        twin = Store(open_objects(self.url), self.attributes)
        twin._layouts, twin._identities = self._layouts.copy(), self._identities.copy()
        twin._listed, twin._images = self._listed, self._images
        twin._reader.inherit(self._reader)
        return twin

    def status(self, group: str) -> np.ndarray:
        """(N,) uint8: 0 pending, 1 done, 2 failed; by the records, so never of a shard that is not whole."""
        values = np.full(self.n_images, PENDING, np.uint8)
        for shard in self.outcomes(group):
            values[shard.first : shard.stop] = shard.statuses()
            self._reader.remember(group, shard)
        return values

    def require(self, *groups: str, rows: np.ndarray | None = None) -> None:
        """Refuses, with what to run, unless every stage is complete, or at least for `rows`, and none is stale."""
        if not self.has_whole_labels():
            raise DamagedStoreError(f"{self.url}: images/label: damaged; run `relabel` to bring the labels in again")
        for group in groups:
            reason = self.stale(group)
            if reason:
                raise IncompleteStoreError(f"{self.url}: {group} is stale: {reason}; run precompute --overwrite for it")
            needed = self.n_images if rows is None else len(rows)
            pending = needed
            if self.identity(group):
                found = self.status(group)
                pending = int(((found if rows is None else found[rows]) == PENDING).sum())
            if pending:
                raise IncompleteStoreError(
                    f"{self.url}: {group}: {pending} of {needed} images not computed; run precompute for it"
                )

    def refresh(self) -> None:
        """Forget what was read of stages."""
        self._layouts.clear()
        self._identities.clear()
        self._reader = RowReader(self)


def open_store(url: str) -> Store:
    """A store at a local path or fsspec URL. Raises InputError if there is none, or if it is not a whole one."""
    objects = open_objects(url)
    return Store(objects, whole_root(objects))


def find_store(url: str) -> Store | None:
    """The store at `url`, None where there is none or its making has not ended. Raises InputError for anything else."""
    objects = open_objects(url)
    attributes = read_root(objects)
    return None if attributes is None or is_unfinished(attributes) else Store(objects, attributes)
