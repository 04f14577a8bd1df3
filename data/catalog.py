"""From what a user types (`voc:DIR`, `coco:DIR`, `folder:DIR`) to a list of images with image-level labels.

Options stand behind a `?`: `voc:DIR?sbd=DIR2&exif=true`. All schemes know `exif` (whether images are turned upright),
`max_pixels` (the largest image that is decoded) and `grey_bits` (bits that 16-bit grey samples use); `folder:` knows
`val`, a share of the images or a list of those that are kept for evaluation. `train+val` is the two splits as one.

Ground truth has its own entrance, data/truth_reader.py.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data import coco, plain_folder, voc
from data.coco_layout import CocoLayout
from data.decode import allow_pixels
from data.errors import InputError, nearest
from data.files import absolute
from data.records import GREY_BITS, MAX_PIXELS, ImageList, Records

OPTIONS = re.compile(r"\?(?=\w+=)")
"""Where the options begin; any other `?` belongs to a folder's name."""
NEXT_OPTION = re.compile(r"&(?=\w+=)")
SCHEMES = ("voc", "coco", "folder")
OWN_OPTIONS = {"voc": ("sbd",), "folder": ("val",)}
"""Those that other schemes do not know."""
JOINT = "+"
"""Between the names of splits that are taken as one."""


@dataclass(frozen=True)
class Spec:
    """A parsed SPEC: scheme, folder or URL, for VOC the folder of SBD if one is named, for a plain folder which
    images are for evaluation, how images are decoded.

    options: name and value of each option, as typed.
    """

    text: str
    scheme: str
    place: str
    sbd: str | None = None
    val: str | None = None
    exif: bool = False
    max_pixels: int = MAX_PIXELS
    grey_bits: int = GREY_BITS
    options: tuple[tuple[str, str], ...] = ()

    def voc(self) -> voc.VocLayout:
        return replace(voc.VocLayout.at(self.place, self.sbd), exif=self.exif)

    def coco(self) -> CocoLayout:
        return replace(CocoLayout.at(self.place), exif=self.exif)


def parse_spec(text: str) -> Spec:
    """`scheme:DIR`, where DIR may be an fsspec URL and options may follow (see above). InputError otherwise."""
    scheme, separator, place = text.partition(":")
    if not separator or not place:
        raise InputError(f"data '{text}': expected SCHEME:DIR, for example {_likely(text.rstrip(':'))}")
    if scheme not in SCHEMES:
        hint = f"; did you mean 'folder:{text}'?" if place.startswith("//") else nearest(scheme, SCHEMES)
        raise InputError(f"data '{text}': unknown scheme '{scheme}'{hint}")
    place, query = (*OPTIONS.split(place, maxsplit=1), "")[:2]
    options = dict(option.split("=", maxsplit=1) for option in NEXT_OPTION.split(query) if "=" in option)
    known = [*OWN_OPTIONS.get(scheme, ()), "exif", "max_pixels", "grey_bits"]
    if unknown := set(options) - set(known):
        raise InputError(f"data '{text}': unknown option '{min(unknown)}'; known: {', '.join(known)}")
    return Spec(
        text,
        scheme,
        place,
        options.get("sbd"),
        options.get("val"),
        _option(text, options, "exif", {"true": True, "false": False}, default=scheme == "folder"),
        _number(text, options, "max_pixels", 1, 10**10, MAX_PIXELS),
        _number(text, options, "grey_bits", 9, 16, GREY_BITS),
        tuple(options.items()),
    )


def _likely(place: str) -> str:
    """The SPEC that somebody may mean who named a folder only."""
    marks = {"folder": "labels.csv", "coco": "annotations", "voc": "JPEGImages"}
    found = (scheme for scheme, mark in marks.items() if place and os.access(Path(absolute(place), mark), os.F_OK))
    scheme = next(found, "voc")
    return f"{scheme}:{place or 'DIR'}"


def _option(text: str, options: Mapping[str, str], name: str, values: Mapping[str, bool], *, default: bool) -> bool:
    value = options.get(name)
    if value is not None and value not in values:
        raise InputError(f"data '{text}': {name} is '{value}'; it is one of {', '.join(values)}")
    return default if value is None else values[value]


def _number(text: str, options: Mapping[str, str], name: str, least: int, most: int, default: int) -> int:
    value = options.get(name, str(default))
    if not (value.isascii() and value.isdecimal() and len(value) < 12 and least <= int(value) <= most):
        raise InputError(f"data '{text}': {name} is '{value}'; it is a whole number from {least} to {most}")
    return int(value)


def absolute_spec(text: str) -> str:
    """A SPEC whose folders are absolute: for what is kept and read from another folder later."""
    spec = parse_spec(text)
    options = dict(spec.options)
    if spec.sbd:
        options["sbd"] = absolute(spec.sbd)
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{spec.scheme}:{absolute(spec.place)}{f'?{query}' if query else ''}"


def load_images(spec: str, split: str) -> ImageList:
    """Ids, paths, sizes and image-level labels of a split, in the data set's order; of splits joined by `+` one after
    the other, each image once. Raises InputError for bad input."""
    parsed = parse_spec(spec)
    allow_pixels(parsed.max_pixels)
    images = _joined([_load_one(parsed, part) for part in split_parts(spec, split)], split)
    return replace(images, exif=parsed.exif, max_pixels=parsed.max_pixels, grey_bits=parsed.grey_bits)


def split_parts(spec: str, split: str) -> list[str]:
    """The splits that one like `train+val` joins; any other alone."""
    if JOINT not in split or split in splits_of(spec):
        return [split]
    return list(dict.fromkeys(part for part in split.split(JOINT) if part)) or [split]


def _load_one(parsed: Spec, split: str) -> ImageList:
    if parsed.scheme == "voc":
        return voc.load_images(parsed.voc(), parsed.text, split)
    if parsed.scheme == "coco":
        return coco.load_images(parsed.coco(), parsed.text, split)
    return plain_folder.load_images(parsed.place, parsed.text, split, exif=parsed.exif, val=parsed.val)


def _joined(parts: Sequence[ImageList], split: str) -> ImageList:
    """Lists of one data set as one. Raises InputError where they do not name the same classes."""
    first = parts[0]
    for other in parts[1:]:
        if (other.class_names, other.category_ids) != (first.class_names, first.category_ids):
            raise InputError(
                f"{first.spec}: splits {first.split} and {other.split} name other classes, so they can not be joined; "
                "give each a store of its own"
            )
    if len(parts) == 1:
        return replace(first, split=split)
    records = Records.joined(*(images.columns for images in parts))
    notes = tuple(dict.fromkeys(note for images in parts for note in images.notes))
    return replace(first, split=split, records=records.take(records.ids.firsts()), notes=notes)


def splits_of(spec: str) -> list[str]:
    """Names of the splits that `load_images` can read."""
    parsed = parse_spec(spec)
    if parsed.scheme == "voc":
        return parsed.voc().splits()
    return parsed.coco().splits() if parsed.scheme == "coco" else plain_folder.splits(parsed.place, parsed.val)


def default_splits(spec: str) -> tuple[str, str]:
    """(training split, evaluation split) if the user names none."""
    parsed = parse_spec(spec)
    if parsed.scheme == "voc":
        return voc.default_splits(parsed.voc())
    if parsed.scheme == "coco":
        return coco.default_splits(parsed.coco())
    return plain_folder.default_splits(parsed.place, parsed.val)
