"""Labels and classes of a data set against those a store was made with: no stage computes from them, training does."""

from collections.abc import Sequence

import numpy as np

from data.errors import InputError, some
from data.records import ImageList
from store.images import listed_label_digest
from store.root import LABELS, UNFINISHED
from store.store import Store


def label_changes(store: Store, images: ImageList, rows: np.ndarray | None = None) -> list[str]:
    """How labels and classes of `images` (in the store's order) differ from the store's, in words; [] if they do not.

    rows: (n,) where the images stand in the store; None: they are all of it, in order.
    Labels are compared by the names of their classes, so that an added class changes no image that lacks it.
    """
    if store.attributes.get(LABELS) == UNFINISHED:
        return ["new labels were written only in part"]
    if not store.has_whole_labels():
        return ["the labels are damaged"]
    was, now = tuple(store.attributes["class_names"]), images.class_names
    changes = []
    if gone := [name for name in was if name not in now]:
        changes.append(f"classes are gone: {some(gone)}")
    if added := [name for name in now if name not in was]:
        changes.append(f"classes are new: {some(added)}")
    categories = tuple(store.attributes["category_ids"])
    if not changes and (was, categories) != (now, images.category_ids):
        changes.append("classes have other numbers")
    if rows is None and not changes and store.attributes.get("label_digest") == listed_label_digest(images):
        return []
    names = list(dict.fromkeys([*was, *now]))
    stored = store.images()
    before, after = _by_name(stored.labels(rows), was, names), _by_name(images.label_matrix(), now, names)
    if len(other := np.flatnonzero((before != after).any(1))):
        ids = images.ids.take(other)
        changes.append(f"{len(other)} of {len(images)} images have other labels: {some(ids)}")
    return changes


def refuse_changed_labels(store: Store, images: ImageList, rows: np.ndarray | None = None) -> None:
    """Raises InputError where labels or classes of `images` (in the store's order, at `rows`) are no longer those of
    the store."""
    if changes := label_changes(store, images, rows):
        raise InputError(
            f"{store.url}: labels of {images.spec} {images.split} changed since the store was made ("
            f"{'; '.join(changes)}); run `relabel` to bring them in, nothing is computed again"
        )


def _by_name(labels: np.ndarray, names: Sequence[str], columns: Sequence[str]) -> np.ndarray:
    """Labels (N, C) of classes `names` as (N, len(columns)), one column a name."""
    wide = np.zeros((len(labels), len(columns)), bool)
    wide[:, [columns.index(name) for name in names]] = labels
    return wide
