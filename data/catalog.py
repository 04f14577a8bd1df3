"""From what a user types (`voc:DIR`, `coco:DIR`, `folder:DIR`) to a list of images with image-level labels.

Ground truth has its own entrance, data/truth_reader.py.
"""

from dataclasses import dataclass
from urllib.parse import parse_qs

from data import coco, plain_folder, voc
from data.errors import InputError, nearest
from data.files import absolute
from data.records import ImageList

SCHEMES = ("voc", "coco", "folder")


@dataclass(frozen=True)
class Spec:
    """A parsed SPEC: scheme, folder or URL, and for VOC the folder of SBD if one is named."""

    text: str
    scheme: str
    place: str
    sbd: str | None = None

    def voc(self) -> voc.VocLayout:
        return voc.VocLayout.at(self.place, self.sbd)

    def coco(self) -> coco.CocoLayout:
        return coco.CocoLayout.at(self.place)


def parse_spec(text: str) -> Spec:
    """`scheme:DIR`, where DIR may be an fsspec URL; for VOC `?sbd=DIR2` may follow. InputError otherwise."""
    scheme, separator, place = text.partition(":")
    if not separator or not place:
        raise InputError(f"data '{text}': expected SCHEME:DIR, for example voc:{text.rstrip(':') or 'DIR'}")
    if scheme not in SCHEMES:
        hint = f"; did you mean 'folder:{text}'?" if place.startswith("//") else nearest(scheme, SCHEMES)
        raise InputError(f"data '{text}': unknown scheme '{scheme}'{hint}")
    place, _, query = place.partition("?") if scheme == "voc" else (place, "", "")
    options = parse_qs(query, keep_blank_values=True)
    if unknown := set(options) - {"sbd"}:
        raise InputError(f"data '{text}': unknown option '{min(unknown)}'; known: sbd")
    return Spec(text, scheme, place, options["sbd"][-1] if "sbd" in options else None)


def absolute_spec(text: str) -> str:
    """A SPEC whose folders are absolute: for what is kept and read from another folder later."""
    spec = parse_spec(text)
    sbd = f"?sbd={absolute(spec.sbd)}" if spec.sbd else ""
    return f"{spec.scheme}:{absolute(spec.place)}{sbd}"


def load_images(spec: str, split: str) -> ImageList:
    """Ids, paths, sizes and image-level labels of a split, in the data set's order. Raises InputError for bad input."""
    parsed = parse_spec(spec)
    if parsed.scheme == "voc":
        return voc.load_images(parsed.voc(), spec, split)
    if parsed.scheme == "coco":
        return coco.load_images(parsed.coco(), spec, split)
    return plain_folder.load_images(parsed.place, spec, split)


def splits_of(spec: str) -> list[str]:
    """Names of the splits that `load_images` can read."""
    parsed = parse_spec(spec)
    if parsed.scheme == "voc":
        return parsed.voc().splits()
    return parsed.coco().splits() if parsed.scheme == "coco" else plain_folder.splits(parsed.place)


def default_splits(spec: str) -> tuple[str, str]:
    """(training split, evaluation split) if the user names none."""
    parsed = parse_spec(spec)
    if parsed.scheme == "voc":
        return voc.default_splits(parsed.voc())
    return coco.default_splits(parsed.coco()) if parsed.scheme == "coco" else plain_folder.default_splits(parsed.place)
