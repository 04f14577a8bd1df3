"""The store's root document: what the store is of, and whether its making ended."""

from collections.abc import Mapping
from typing import Any

from data.errors import InputError
from data.records import GREY_BITS, MAX_PIXELS, Decoding
from store.documents import DocumentError, group_attributes, parse_object
from store.errors import IncompleteStoreError
from store.layout import FORMAT, READABLE
from store.objects import Objects

ROOT = "zarr.json"
KIND = "pdsl-store"
COPY = f"images/{ROOT}"
"""The image list's group document repeats the root's attributes, so that a damaged root can be written again."""
UNFINISHED = "unfinished"
"""Attribute of a root whose store is being made, or made anew: what the store has is worth nothing yet."""
LABELS = "labels"
"""Attribute, with the value UNFINISHED, while labels are rewritten: those that lie there are half old, half new."""
IMAGE_SHARD = "image_shard"
"""Attribute: images a shard of the arrays of the image list; those of `shard` in stores of format 1."""
LARGEST_SHARD = 65_536
LARGEST_STORE = 2**31
_TYPES: dict[str, type | tuple[type, ...]] = {
    **{"spec": str, "split": str, "exif": bool, "class_names": list, "category_ids": list},
    **{"n_images": int, "digest": str, "shard": int},
}


class DamagedRootError(InputError):
    """The root document is there and is not whole."""


def read_root(objects: Objects, key: str = ROOT) -> dict[str, Any] | None:
    """The root's attributes (or those of its copy at `key`); None if there is no document.

    Raises DamagedRootError for a document that is not whole, InputError for one of another program or format.
    """
    try:
        document = objects.read(key)
    except FileNotFoundError:
        return None
    try:
        stated = parse_object(document).get("attributes")
        if isinstance(stated, dict):
            _refuse_others(stated, objects)
        attributes = group_attributes(document)
    except DocumentError as error:
        raise DamagedRootError(f"{objects.url}/{key}: {error}; {_cure(objects, key)}") from error
    if not is_unfinished(attributes):
        _check(attributes, objects, key)
    return attributes


def _refuse_others(attributes: Mapping[str, Any], objects: Objects) -> None:
    """What another program or version wrote is said to be that, and not damage."""
    if attributes.get("kind") != KIND:
        raise InputError(f"{objects.url}: a Zarr group, but no store of this program; choose another path")
    found = attributes.get("format")
    if found not in READABLE:
        newer = isinstance(found, int) and found > FORMAT
        age, advice = ("newer", "update this program") if newer else ("older", "compute it anew elsewhere")
        raise InputError(f"{objects.url}: store format {found!r} is {age} than this program's ({FORMAT}); {advice}")


def whole_root(objects: Objects) -> dict[str, Any]:
    """The root of a store whose making has ended. Raises InputError, with what to do, where there is none."""
    attributes = read_root(objects)
    if attributes is None:
        raise InputError(f"{objects.url}: there is no store; {lost_root(objects) or 'create one with precompute'}")
    if is_unfinished(attributes):
        raise IncompleteStoreError(f"{objects.url}: its making was interrupted; run precompute again")
    return attributes


def decoding_of(attributes: Mapping[str, Any]) -> Decoding:
    """How the images of a store are decoded: the root names what is not usual."""
    return {
        "exif": attributes["exif"],
        "max_pixels": attributes.get("max_pixels", MAX_PIXELS),
        "grey_bits": attributes.get("grey_bits", GREY_BITS),
    }


def unfinished_root() -> dict[str, Any]:
    """Attributes of a store whose making has only begun."""
    return {"format": FORMAT, "kind": KIND, UNFINISHED: True}


def is_unfinished(attributes: Mapping[str, Any]) -> bool:
    """Whether the store's making was begun and has not ended."""
    return bool(attributes.get(UNFINISHED))


def lost_root(objects: Objects) -> str | None:
    """What to do where a store lost its root and can have it back; None where nothing speaks of a store."""
    try:
        copy = read_root(objects, COPY)
    except InputError:
        return None
    return f"only its {ROOT} is missing: verify --repair writes it again" if copy else None


def _cure(objects: Objects, key: str) -> str:
    if key == ROOT and lost_root(objects):
        return "verify --repair writes it again"
    return "restore it from a backup, or make the store anew elsewhere"


def _check(attributes: Mapping[str, Any], objects: Objects, key: str) -> None:
    """Types and bounds of what everything else trusts; older versions wrote no checksum."""
    for name, kind in _TYPES.items():
        value = attributes.get(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise DamagedRootError(f"{objects.url}/{key}: '{name}' is {value!r:.60}; {_cure(objects, key)}")
    names, numbers = attributes["class_names"], attributes["category_ids"]
    if len(names) != len(numbers) or not all(isinstance(n, str) for n in names):
        raise DamagedRootError(f"{objects.url}/{key}: class_names and category_ids do not fit; {_cure(objects, key)}")
    bounds = {"n_images": LARGEST_STORE, "shard": LARGEST_SHARD, IMAGE_SHARD: LARGEST_SHARD}
    for name, largest in bounds.items():
        value = attributes.get(name, attributes["shard"])
        if not isinstance(value, int) or not 1 <= value <= largest:
            raise DamagedRootError(
                f"{objects.url}/{key}: {name} is {value!r:.60}, not within 1 to {largest}; {_cure(objects, key)}"
            )
