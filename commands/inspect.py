"""`inspect`: pictures of what the stores hold for images."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from PIL import Image

from data.catalog import load_images
from data.decode import DecodeError, decode_record
from data.errors import InputError, nearest
from data.files import opened_files
from data.names import stem
from data.records import ImageList
from pdsl.classes import class_ids
from pdsl.outputs import refuse_overwriting
from pdsl.raw_sample import RawSample, raw_sample
from pdsl.report import evidence as ev
from pdsl.report.overlay import Shape, draw
from pdsl.report.palette import class_colour, class_colours
from pdsl.report.panels import contact_sheet, save_picture, side_by_side
from pdsl.report.training_pictures import pseudo_objects
from pdsl.run.trained import TrainedModel, load_trained
from store.contents import PROPOSALS, is_done, read_proposals
from store.store import Store, open_store

PICTURES = (".png", ".jpg", ".jpeg")
SEED = 0
"""Of `random`: the same images every time."""


def run(
    *,
    store: str | Sequence[str],
    image: str | None,
    out: str,
    data: str | None,
    random: int | None = None,
    run: str | None = None,
) -> int:
    """Write to `out` a picture of image `image`, an id as the data set names it or its file's name: the image, its best
    proposals, a proposal's neighbours in the IoU graph, seed masks, and what the mask branch would be taught. Stages
    that were not run are left out. Or a contact sheet of so many `random` images, always the same ones.

    store: where to look; of several the first that has the image, or all for `random`. data: SPEC where the images lie
    now, if not where the store says. run: run folder whose model says which proposals would teach. Returns 3 if an
    image of the contact sheet can not be read. Raises InputError.
    """
    path = Path(out)
    if path.suffix.lower() not in PICTURES:
        raise InputError(f"--out {out}: the picture's name has to end in .png or .jpg")
    stores = [open_store(url) for url in ([store] if isinstance(store, str) else store)]
    if random is None:
        return _one(stores, str(image), path, data, run)
    return _sheet(stores, random, path, data)


def _one(stores: Sequence[Store], image: str, path: Path, data: str | None, run: str | None) -> int:
    opened, row = _find(stores, image)
    source = _Source.open(opened, data, path, run)
    try:
        pixels = source.pixels(row)
    except DecodeError as error:
        where = source.images.records[row].path
        raise InputError(f"{where}: {error}; if the images have moved, say where with --data SPEC") from error
    panels = _panels(source, row, pixels, load_trained(run) if run else None)
    save_picture(side_by_side(panels, 2 if len(panels) in (2, 4) else min(len(panels), 3)), path)
    print(f"{path}: {source.title(row)}")
    return 0


def _sheet(stores: Sequence[Store], count: int, path: Path, data: str | None) -> int:
    places = [(number, row) for number, opened in enumerate(stores) for row in range(len(opened))]
    order = np.random.default_rng(SEED).permutation(len(places))[:count]
    chosen = [places[int(place)] for place in sorted(order)]
    sources = {number: _Source.open(stores[number], data, path) for number, _ in chosen}
    tiles, failed = [], 0
    for number, row in chosen:
        source = sources[number]
        try:
            tiles.append((source.title(row), _tile(source, row)))
        except DecodeError as error:
            failed += 1
            print(f"{source.images.records[row].path}: {error}", file=sys.stderr)
    if not tiles:
        raise InputError(f"{stores[0].url}: none of the images can be read; say where they lie with --data SPEC")
    save_picture(contact_sheet(tiles, ceil(sqrt(len(tiles)))), path)
    print(f"{path}: {len(tiles)} of {len(places)} images")
    return 3 if failed else 0


@dataclass(frozen=True)
class _Source:
    """A store with its data set."""

    store: Store
    images: ImageList

    @classmethod
    def open(cls, opened: Store, data: str | None, out: Path, run: str | None = None) -> "_Source":
        """Raises InputError where the images are others than the store's, or `out` is one of them or in the store."""
        listed = opened.images()
        with opened_files() as read:
            images = opened.align(load_images(data or listed.spec, listed.split))
        refuse_overwriting([out], data=read, images=images, run=run, stores=[opened.url])
        return cls(opened, images)

    def pixels(self, row: int) -> np.ndarray:
        """(H, W, 3) uint8. Raises DecodeError."""
        return decode_record(self.images.records[row], **self.store.decoding)

    def title(self, row: int) -> str:
        """The image's id and the classes that are present."""
        listed = self.store.images()
        present = [name for name, on in zip(listed.class_names, listed.labels(row), strict=True) if on]
        return f"{self.images.records[row].id}: {', '.join(present) or 'no class present'}"


def _find(stores: Sequence[Store], image: str) -> tuple[Store, int]:
    """(store, row) of an image by its id or by its file's name."""
    name = stem(Path(image).name)
    ids: list[str] = []
    for opened in stores:
        known = opened.images().ids
        for wanted in (image, name, name.lstrip("0")):
            if wanted in known:
                return opened, known.index(wanted)
        below = [row for row, image_id in enumerate(known) if image_id.rpartition("/")[2] == name]
        if len(below) == 1:
            return opened, below[0]
        ids += known[:10_000]
    urls = " and ".join(opened.url for opened in stores)
    raise InputError(
        f"--image '{image}': {urls} {'has' if len(stores) == 1 else 'have'} no such image{nearest(image, ids)}"
    )


def _tile(source: _Source, row: int) -> Image.Image:
    """An image with its seed masks, or with its best proposals, as far as there are any."""
    pixels = source.pixels(row)
    if not is_done(source.store, PROPOSALS, row):
        return draw(pixels, [])
    evidence = ev.read_evidence(source.store, row, pixels)
    return ev.proposals_picture(evidence) if evidence.seeds is None else ev.seeds_picture(evidence)


def _panels(
    source: _Source, row: int, pixels: np.ndarray, trained: TrainedModel | None
) -> list[tuple[str, Image.Image]]:
    """(title, picture) of what was computed for the image."""
    panels = [(source.title(row), draw(pixels, []))]
    if not is_done(source.store, PROPOSALS, row):
        return panels
    evidence = ev.read_evidence(source.store, row, pixels)
    best = min(ev.TOP_PROPOSALS, len(evidence.box))
    panels.append(
        (f"the best {best} of {len(evidence.box)} proposals (orange: 5 best)", ev.proposals_picture(evidence))
    )
    if evidence.graph is not None and len(evidence.box):
        centre = ev.central_proposal(evidence)
        iou = evidence.graph.iou[centre, 1 : ev.NEIGHBOURS + 1]
        iou = iou[iou > 0]
        text = (
            f"proposal {centre} and its {len(iou)} nearest (IoU {min(iou, default=0):.2f} to {max(iou, default=0):.2f})"
        )
        panels.append((text, ev.neighbours_picture(evidence)))
    if evidence.seeds is not None:
        chosen = ev.shown_seeds(evidence)
        told = "" if evidence.quality is None else " (number: expected IoU)"
        text = f"{len(chosen)} of {len(evidence.seeds.proposal)} seed masks{told}"
        panels.append((text, ev.seeds_picture(evidence)))
        if len(chosen):
            panels.append(_targets(source, row, evidence, trained))
    return panels


def _targets(source: _Source, row: int, evidence: ev.Evidence, trained: TrainedModel | None) -> tuple[str, Image.Image]:
    """What the mask branch would be taught: of the pseudo boxes that a trained model takes now, one of each class
    present, or without a model of some proposals that lie apart."""
    if trained is None:
        rows = ev.seeded_proposals(evidence)
        picture = ev.targets_picture(evidence, [(r, class_colour(n), f"{r}") for n, r in enumerate(rows)])
        return "mask targets of some proposals (--run RUN: of those it learns from)", picture
    taught = pseudo_objects(trained.model, trained.config, _as_training_gets_it(source, row, evidence, trained))
    colours = class_colours(p.class_id for p in taught)
    shapes = [
        Shape(colours[p.class_id], p.box, p.mask, f"{trained.class_names[p.class_id]} {p.score:.2f}") for p in taught
    ]
    return f"what step {trained.step:,} would learn from: pseudo box and target mask", draw(
        evidence.image, shapes, dim=0.35
    )


def _as_training_gets_it(source: _Source, row: int, evidence: ev.Evidence, trained: TrainedModel) -> RawSample:
    """The image with the labels, in the classes of the run, and with the proposals and seeds that training uses."""
    if evidence.seeds is None:
        raise ValueError("the image has no seeds")
    record, data = source.images.records[row], trained.config.data
    places = class_ids(trained.class_names, source.images, trained.config.classes)
    return raw_sample(
        evidence.image,
        np.array([place in record.label for place in places]),
        read_proposals(source.store, row, len(evidence.box)),
        evidence.seeds,
        used=(data.max_proposals, data.min_size),
        place=(row, row, record.id),
    )
