"""Which images of a store `precompute` runs its stages on: those of a split, of a range, of a list."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.catalog import absolute_spec, load_images
from data.columns import Texts
from data.errors import InputError, nearest, some
from data.files import Folder
from data.records import ImageList
from stages.registry import STAGE_NAMES
from store.completion import recorded_shards
from store.identity import group_of
from store.store import Store


@dataclass(frozen=True)
class ImageChoice:
    """images: all that the store holds, or is to hold. part: those of a split that is only a part of them, None: all.
    image_range: [a, b) of the store's. listed: ids to compute again. learnt_from: those that training will take, None:
    all; of the others only proposals are needed."""

    images: ImageList
    part: ImageList | None = None
    image_range: tuple[int, int] | None = None
    listed: Sequence[str] | None = None
    learnt_from: ImageList | None = None

    @classmethod
    def of(
        cls,
        data: str | None,
        split: str | None,
        images: str | None,
        store: Store | None,
        *,
        learnt_from: str | None,
        overwrite: bool,
    ) -> "ImageChoice":
        """As `commands.precompute.run` is told; `store` is there already. What is overwritten is overwritten as far as
        it goes: a stage has one set of parameters for all its images. Raises InputError."""
        listed = load_image_list(data, split, store)
        part = None
        if store is not None and not overwrite and _is_part(listed, store):
            part, listed = listed, load_image_list(data, None, store)
        ids = read_listed(images) if images and Path(images).is_file() else None
        image_range = parse_range(images, len(listed)) if images and ids is None else None
        if store is not None and part is not None and image_range:
            held = f"{store.url}, which holds more than '{split}'"
            raise InputError(f"--images {images}: counts those of {held}; leave one out")
        taught = None if learnt_from is None else load_image_list(data, learnt_from, store)
        if taught is not None and overwrite and store is not None and _goes_beyond(store, taught):
            taught = None
        return cls(listed, part, image_range, ids, taught)

    def __str__(self) -> str:
        told = f"; of these {self.part.split}, {len(self.part)} images" if self.part is not None else ""
        return f"{self.images.spec} {self.images.split}, {len(self.images)} images{told}"

    def ranges(self, ids: Texts, shard: int) -> dict[str, tuple[int, int]]:
        """Images [a, b) of a store that holds `ids`, `shard` of them a shard, by the stage that is to run on them; of a
        stage that is not named, all. Parts are widened to whole shards."""
        given = self.image_range or (self.part and span(ids, shard, self.part))
        after = given or (self.learnt_from and span(ids, shard, self.learnt_from))
        first, *others = STAGE_NAMES
        return ({first: given} if given else {}) | (dict.fromkeys(others, after) if after else {})


def _is_part(images: ImageList, store: Store) -> bool:
    """Whether these are some of the images of a store that was made from another split."""
    return images.split != store.attributes["split"] and not (store.listed().ids.places(images.ids) < 0).any()


def _goes_beyond(store: Store, part: ImageList) -> bool:
    """Whether a stage behind the proposals has computed shards without an image of the part."""
    first, stop = span(store.listed().ids, store.shard, part)
    shards = {
        shard for name in STAGE_NAMES[1:] for shard in recorded_shards(store.objects, group_of(name), store.shard)
    }
    return any(not first <= shard * store.shard < stop for shard in shards)


def span(ids: Texts, shard: int, part: ImageList) -> tuple[int, int]:
    """From the shard of the first to behind that of the last of `ids` that belong to a part; all if none does."""
    rows = np.flatnonzero(part.ids.places(ids) >= 0)
    if not len(rows):
        return 0, len(ids)
    return int(rows[0]) // shard * shard, min(len(ids), (int(rows[-1]) // shard + 1) * shard)


def parse_range(text: str, n: int) -> tuple[int, int]:
    """ "A:B", ":B" or "A:" as [a, b) within n images. Raises InputError."""
    first, separator, last = text.partition(":")
    try:
        a, b = int(first or 0), min(int(last or n), n)
    except ValueError:
        a, b = -1, -1
    if not separator or not 0 <= a < b:
        raise InputError(f"--images {text}: expected A:B with 0 <= A < B, A below the number of images ({n})")
    return a, b


def parse_part(text: str, **others: object) -> tuple[int, int]:
    """ "I/N" as (I, N), counted from 1. others: options that say which images, too. Raises InputError."""
    if given := next((name for name, value in others.items() if value), None):
        raise InputError(
            f"--part {text}: not together with --{given.replace('_', '-')}, which is of all; leave one out"
        )
    first, _, last = text.partition("/")
    i, n = (
        int(number) if number.isascii() and number.isdecimal() and len(number) < 8 else 0 for number in (first, last)
    )
    if not 1 <= i <= n:
        raise InputError(f"--part {text}: expected I/N with 1 <= I <= N, as 1/64 is the first of 64 parts")
    return i, n


def read_listed(path: str) -> list[str]:
    """Image ids of a file: column `image` of a CSV that has one, as `status --failed` writes it, else one id a line.

    Raises InputError for a file that can not be read or lists nothing.
    """
    text = Folder.at(path).read_text()
    rows = [row for row in csv.reader(text.splitlines()) if row]
    if rows and "image" in rows[0]:
        column = rows[0].index("image")
        ids = [row[column] for row in rows[1:] if len(row) > column]
    else:
        ids = [line.strip() for line in text.splitlines() if line.strip()]
    if not ids:
        raise InputError(f"--images {path}: lists no image; write one id a line, or a CSV with a column 'image'")
    return list(dict.fromkeys(ids))


def rows_by_shard(store: Store, ids: Sequence[str], path: str) -> dict[int, frozenset[int]]:
    """Shard -> rows of images by id. Raises InputError for an id that the store does not have."""
    stored = store.listed().ids
    rows = stored.places(Texts.of(ids))
    if unknown := [ids[k] for k in np.flatnonzero(rows < 0).tolist()]:
        raise InputError(f"--images {path}: {store.url} has no image {some(unknown)}{nearest(unknown[0], stored)}")
    found: dict[int, set[int]] = {}
    for row in sorted(rows.tolist()):
        found.setdefault(row // store.shard, set()).add(row)
    return {index: frozenset(chosen) for index, chosen in found.items()}


def load_image_list(data: str | None, split: str | None, store: Store | None) -> ImageList:
    """The images of a split; where the user does not name data or split, those the store was made from."""
    if store is not None:
        data, split = data or store.attributes["spec"], split or store.attributes["split"]
    if data is None or split is None:
        raise InputError("--data and --split: needed to create a store")
    return load_images(absolute_spec(data), split)
