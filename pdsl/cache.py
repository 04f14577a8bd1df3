"""The precomputed stores as a training set: which images take part, and what is read of one.

Stores are only read. One that is incomplete, stale, or of another image list than the data set's is refused.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.catalog import load_images
from data.decode import DecodeError, decode_record
from data.errors import InputError
from data.masks import MASK_SIDE
from data.records import Decoding, ImageList
from pdsl.classes import join_classes
from pdsl.config.tree import DataConfig
from pdsl.structures import Proposals, Sample, Seeds
from store import contents
from store.labels import refuse_changed_labels
from store.layout import DONE
from store.status import FailedImage, failed_images
from store.store import Store, open_store

STAGES = (contents.PROPOSALS, contents.IOU_GRAPH, contents.GRABCUT)


@dataclass(frozen=True)
class RawSample:
    """One image with what the stages found, as it leaves a loader process; CPU tensors.

    image: (3, H, W) uint8 RGB. label: (C,) bool. box: (P, 4) float32 xyxy of the original image, score: (P,) float32;
    P is what this image has, at most n^P. seed: (Q,) int64 proposals with a mask; mask: (Q, 56, 7) uint8, bit-packed.
    index: place in the training set; row: place in its store.
    """

    image: Tensor
    label: Tensor
    box: Tensor
    score: Tensor
    seed: Tensor
    mask: Tensor
    index: int
    row: int
    image_id: str

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image.shape[1], self.image.shape[2]

    def pin_memory(self) -> "RawSample":
        """The same in page-locked memory, from which copies to a CUDA device do not block."""
        tensors = {k: v.pin_memory() for k, v in vars(self).items() if isinstance(v, Tensor)}
        return RawSample(**(vars(self) | tensors))

    def some(self, n: int | None, generator: torch.Generator) -> "RawSample":
        """With `n` of its proposals, drawn evenly and still best first, and the seeds that are theirs; None: all."""
        if n is None or n >= len(self.box):
            return self
        kept = torch.randperm(len(self.box), generator=generator)[:n].sort().values
        place = torch.full((len(self.box),), -1).index_put((kept,), torch.arange(n))[self.seed]
        theirs = place >= 0
        box, score = self.box[kept], self.score[kept]
        return replace(self, box=box, score=score, seed=place[theirs], mask=self.mask[theirs])

    def to_sample(self, device: torch.device | str) -> Sample:
        """On the device, masks unpacked; the image still uint8."""
        box, score, seed, mask, image, label = (
            t.to(device, non_blocking=True)
            for t in (self.box, self.score, self.seed, self.mask, self.image, self.label)
        )
        all_of_them = torch.ones(len(box) + len(seed), dtype=torch.bool, device=device)
        every_proposal, every_seed = all_of_them.split([len(box), len(seed)])
        return Sample(
            image,
            label,
            Proposals(box, score, every_proposal),
            Seeds(seed, unpack(mask), every_seed),
            self.row,
            self.image_id,
        )


def unpack(packed: Tensor) -> Tensor:
    """(..., 56, 7) uint8 -> (..., 56, 56) bool; the most significant bit is the leftmost pixel."""
    shifted = packed[..., None] << torch.arange(8, dtype=torch.uint8, device=packed.device)
    return (shifted >= 128).reshape(*packed.shape[:-1], MASK_SIDE)


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
    images do not; failed: those that a stage could not compute.
    """

    sources: Sequence[_Source]
    class_names: tuple[str, ...]
    items: list[tuple[int, int]]
    left_out: Counter[str]
    max_proposals: int
    min_size: float
    failed: tuple[FailedImage, ...] = ()
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
        place, number = self.items[index]
        source = self.sources[place]
        record, row = source.images.records[number], int(source.rows[number])
        try:
            image = decode_record(record, **source.store.decoding)
        except DecodeError as error:
            raise InputError(
                f"{record.path}: {error}; restore the file, or give --data where the images lie"
            ) from error
        store = self._store_of_this_process(place)
        return raw_sample(
            image,
            source.labels[number],
            contents.read_proposals(store, row, int(source.counts[number])),
            contents.read_seeds(store, row, int(source.n_seeds[number])),
            used=(self.max_proposals, self.min_size),
            place=(index, row, record.id),
        )

    def _store_of_this_process(self, place: int) -> Store:
        """A handle opened by this process: connections and event loops do not survive a fork."""
        key = (os.getpid(), place)
        if key not in self._opened:
            store = self.sources[place].store
            self._opened[key] = open_store(store.url)
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
    return CacheReader(sources, class_names, items, left_out, config.max_proposals, config.min_size, failed)


def raw_sample(
    image: np.ndarray,
    label: np.ndarray,
    proposals: contents.Proposals,
    seeds: contents.Seeds,
    *,
    used: tuple[int, float],
    place: tuple[int, int, str],
) -> RawSample:
    """One image as training gets it.

    image: (H, W, 3) uint8 RGB; label: (C,) bool in the run's classes. used: `max_proposals` and `min_size` of the
    configuration. place: in the training set, in its store, and the image's id.
    """
    kept = used_proposals(proposals.box, *used)
    place_of = np.full(len(proposals.box), -1)
    place_of[kept] = np.arange(len(kept))
    seed = place_of[seeds.proposal.astype(np.int64)]
    index, row, image_id = place
    return RawSample(
        image=torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
        label=torch.from_numpy(label),
        box=torch.from_numpy(proposals.box[kept]),
        score=torch.from_numpy(proposals.score[kept]),
        seed=torch.from_numpy(seed[seed >= 0]),
        mask=torch.from_numpy(seeds.mask[seed >= 0]),
        index=index,
        row=row,
        image_id=image_id,
    )


def used_proposals(box: np.ndarray, max_proposals: int, min_size: float) -> np.ndarray:
    """Which of an image's proposals (n, 4), best first, are used: indices of the first n^P that are large enough.

    Where none is large enough, size does not count.
    """
    large = np.flatnonzero((box[:, 2:] - box[:, :2]).min(1) >= min_size)
    return (large if len(large) else np.arange(len(box)))[:max_proposals]


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
    labels = np.zeros((len(images), len(class_names)), bool)
    for column, name in enumerate(names):
        if name is not None:
            labels[:, class_names.index(name)] = stored.labels[rows, column]
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
