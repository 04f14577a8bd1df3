"""The precomputed stores as a training set: which images take part, and what is read of one.

Stores are only read. One that is incomplete, stale, or of another image list than the data set's is refused.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.catalog import load_images
from data.decode import DecodeError, decode_record
from data.errors import InputError
from data.files import is_url
from data.records import Decoding, ImageList
from pdsl.classes import join_classes
from pdsl.config.tree import DataConfig
from pdsl.raw_sample import RawSample, raw_sample
from pdsl.remote_files import read_files
from store import contents
from store.copies import Copies
from store.labels import refuse_changed_labels
from store.layout import DONE
from store.status import FailedImage, failed_images
from store.store import Store, open_store

STAGES = (contents.PROPOSALS, contents.IOU_GRAPH, contents.GRABCUT)


@dataclass(frozen=True)
class _Source:
    """One store with the N images of its data set that are meant. rows: (N,) where they stand in the store; labels:
    (N, C) bool in the run's classes; counts, n_seeds: (N,) of each image; usable: (N,) bool, what takes part; left_out:
    how many do not, by reason; failed: those that a stage could not compute."""

    store: Store
    images: ImageList
    rows: np.ndarray
    labels: np.ndarray
    counts: np.ndarray
    n_seeds: np.ndarray
    usable: np.ndarray
    left_out: Counter[str]
    failed: tuple[FailedImage, ...]


@dataclass
class CacheReader:
    """A training set. Made by `open_cache`.

    class_names: the run's classes. items: (source, place in its images) of every image that takes part. left_out: why
    images do not; failed: those that a stage could not compute. copies: folder for what comes from object stores, of
    `copies_limit` bytes.
    """

    sources: Sequence[_Source]
    class_names: tuple[str, ...]
    items: list[tuple[int, int]]
    left_out: Counter[str]
    max_proposals: int
    min_size: float
    failed: tuple[FailedImage, ...] = ()
    copies: str | None = None
    copies_limit: int = 0
    _opened: dict[tuple[int, int], Store] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.items)

    def digests(self) -> list[str]:
        """What identifies the training set: per store its image list and the parameters of its stages."""
        return [
            ":".join([s.images.digest(), *(_fingerprint(s.store, group) for group in STAGES)]) for s in self.sources
        ]

    def labels(self) -> np.ndarray:
        """Image-level labels of the training images: (N, C) bool."""
        return np.concatenate([source.labels[source.usable] for source in self.sources])

    def label_digest(self) -> str:
        """What identifies the image-level labels that are learnt from."""
        return hashlib.sha256(self.labels().tobytes()).hexdigest()

    def proposal_recipe(self) -> dict[str, Any] | None:
        """How the first store's proposals were made: parameters of the stage and, of ready ones, where they lay."""
        identity = self.sources[0].store.identity(contents.PROPOSALS)
        return {"params": dict(identity.params), "source_path": identity.source_path} if identity else None

    def seed_recipe(self) -> dict[str, Any]:
        """How the first store's graph and seeds were made: parameters by stage."""
        store = self.sources[0].store
        found = {group: store.identity(group) for group in (contents.IOU_GRAPH, contents.GRABCUT)}
        return {group: dict(identity.params) for group, identity in found.items() if identity}

    def old_scores(self) -> list[str]:
        """URLs of the stores whose proposals have scores from before they were probabilities."""
        return [source.store.url for source in self.sources if contents.has_old_scores(source.store)]

    def data_set(self) -> dict[str, Any]:
        """The first store's data set: SPEC, class names and the ids by which its own files call them."""
        images = self.sources[0].images
        return {
            "spec": images.spec,
            "class_names": list(images.class_names),
            "category_ids": list(images.category_ids),
        }

    def decoding(self) -> Decoding:
        """How the images of the first store are decoded."""
        return self.sources[0].store.decoding

    def read(self, index: int) -> RawSample:
        """Image `index` of the training set. Raises InputError if its file or its rows cannot be read."""
        return self.read_together([index])[0]

    def read_together(self, indexes: Sequence[int]) -> list[RawSample]:
        """Images of the training set; object stores are asked for all of them at once. Raises as `read` does."""
        samples: dict[int, RawSample] = {}
        for place in {self.items[index][0] for index in indexes}:
            own = [index for index in indexes if self.items[index][0] == place]
            numbers = [self.items[index][1] for index in own]
            samples.update(zip(own, self._of_source(place, own, numbers), strict=True))
        return [samples[index] for index in indexes]

    def _of_source(self, place: int, indexes: Sequence[int], numbers: Sequence[int]) -> Iterator[RawSample]:
        """The samples at `numbers` of one source; `indexes` are their places in the training set."""
        source, copies = self.sources[place], self.open_copies()
        records = [source.images.records[number] for number in numbers]
        rows = source.rows[numbers].tolist()
        sizes = source.counts[numbers].tolist(), source.n_seeds[numbers].tolist()
        found = contents.read_for_training(self._store_of_this_process(place), rows, *sizes, copies)
        files = read_files([record.path for record in records], copies)
        for index, number, record, row, (proposals, seeds) in zip(indexes, numbers, records, rows, found, strict=True):
            try:
                image = decode_record(record, content=files.get(record.path), **source.store.decoding)
            except DecodeError as error:
                raise InputError(
                    f"{record.path}: {error}; restore the file, or give --data where the images lie"
                ) from error
            used, label = (self.max_proposals, self.min_size), source.labels[number]
            yield raw_sample(image, label, proposals, seeds, used=used, place=(index, row, record.id))

    def is_remote(self) -> bool:
        """Whether an object store holds images or stores."""
        return any(is_url(s.store.url) or is_url(s.images.records[0].path) for s in self.sources)

    def open_copies(self) -> Copies | None:
        """Where what comes from object stores is kept, if it is. Raises InputError for a folder that is not fit."""
        return Copies(self.copies, self.copies_limit) if self.copies is not None and self.is_remote() else None

    def _store_of_this_process(self, place: int) -> Store:
        """A handle opened by this process: connections and event loops do not survive a fork."""
        key = (os.getpid(), place)
        if key not in self._opened:
            self._opened[key] = self.sources[place].store.reopened()
        return self._opened[key]


def open_cache(config: DataConfig, classes: Mapping[str, str | None]) -> CacheReader:
    """Open the stores of `config`, check them, and join them under the `classes` mapping.

    Raises InputError for a store that is missing, incomplete or stale, for images that are not those of the store, for
    class names that do not join, and if no image is left to train on.
    """
    if not config.stores:
        raise InputError("data.stores: no store to train on; give --store URL")
    if (config.images or config.split) and len(config.stores) > 1:
        option = "--data" if config.images else "--split"
        raise InputError(f"{option}: with several stores it is not clear whose images are meant; leave it out")
    stores = [open_store(url) for url in config.stores]
    for store in stores:
        store.require(*(STAGES if config.split is None else ()))
    joined = join_classes([store.images().class_names for store in stores], config.stores, classes)
    class_names = tuple(dict.fromkeys(name for names in joined for name in names if name is not None))
    sources = [_open_source(s, config, names, class_names) for s, names in zip(stores, joined, strict=True)]
    items = [(place, int(row)) for place, s in enumerate(sources) for row in np.flatnonzero(s.usable)]
    left_out: Counter[str] = sum((source.left_out for source in sources), Counter())
    failed = tuple(image for source in sources for image in source.failed)
    if not items:
        why = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        why += f"; '{failed[0].image}' in stage '{failed[0].stage}': {failed[0].reason}" if failed else ""
        raise InputError(f"{', '.join(config.stores)}: no image to train on ({why})")
    used = config.max_proposals, config.min_size
    kept = config.copies, config.copies_limit
    cache = CacheReader(sources, class_names, items, left_out, *used, failed, *kept)
    cache.open_copies()  # a folder that can not be used is refused now
    return cache


def _open_source(store: Store, config: DataConfig, names: Sequence[str | None], class_names: Sequence[str]) -> _Source:
    stored = store.images()
    try:
        listed = load_images(config.images or stored.spec, config.split or stored.split)
        images, rows = store.locate(listed)
    except InputError as error:
        if config.images:
            raise
        raise InputError(f"{error}; if the images have moved, say where with --data SPEC") from error
    refuse_changed_labels(store, images, rows)
    if config.split is not None:
        store.require(*STAGES, rows=rows)
    labels, present = np.zeros((len(images), len(class_names)), bool), stored.labels(rows)
    for column, name in enumerate(names):
        if name is not None:
            labels[:, class_names.index(name)] = present[:, column]
    counts, n_seeds = store.read(contents.PROPOSAL_COUNT, rows), store.read(contents.SEED_COUNT, rows)
    failed = store.status(contents.GRABCUT)[rows] != DONE
    bare = ~failed & (counts == 0)
    empty = ~failed & ~bare & ~labels.any(1) & config.skip_empty
    left_out = Counter(
        {
            "failed in a stage": int(failed.sum()),
            "without proposals": int(bare.sum()),
            "without a present class": int(empty.sum()),
        }
    )
    meant = {record.id for record in images.records} if failed.any() else set()
    named = tuple(image for image in failed_images(store, *STAGES) if image.image in meant) if meant else ()
    return _Source(store, images, rows, labels, counts, n_seeds, ~(failed | bare | empty), left_out, named)


def _fingerprint(store: Store, group: str) -> str:
    identity = store.identity(group)
    return identity.fingerprint if identity else ""
