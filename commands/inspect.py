"""`inspect`: a picture of what a store holds for one image."""

from pathlib import Path

import numpy as np
from PIL import Image

from data.catalog import load_images
from data.decode import DecodeError, decode_record
from data.errors import InputError, nearest
from data.files import opened_files
from pdsl.outputs import refuse_overwriting
from pdsl.report import evidence as ev
from pdsl.report.overlay import draw
from pdsl.report.panels import save_picture, side_by_side
from store.contents import PROPOSALS, is_done
from store.store import Store, open_store


def run(*, store: str, image: str, out: str, data: str | None) -> int:
    """Write a picture of image `image` (id as the data set names it) to `out`: the image, its best proposals, a
    proposal's neighbours in the IoU graph, seed masks. Stages that were not run are left out.

    data: SPEC where the images lie now, if not where the store says. Raises InputError.
    """
    opened = open_store(store)
    stored = opened.images()
    if image not in stored.ids:
        raise InputError(f"--image '{image}': {store} has no such image{nearest(image, stored.ids[:10_000])}")
    row = stored.ids.index(image)
    path = Path(out)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"--out {out}: the picture's name has to end in .png or .jpg")
    with opened_files() as read:
        images = opened.align(load_images(data or stored.spec, stored.split))
    refuse_overwriting([path], files=read, images=images, stores=[store])
    record = images.records[row]
    try:
        pixels = decode_record(record, **opened.decoding)
    except DecodeError as error:
        raise InputError(f"{record.path}: {error}; if the images have moved, say where with --data SPEC") from error
    present = ", ".join(name for name, on in zip(stored.class_names, stored.labels[row], strict=True) if on)
    panels = _panels(opened, row, pixels, f"{image}: {present or 'no class present'}")
    save_picture(side_by_side(panels, min(len(panels), 2)), path)
    return 0


def _panels(store: Store, row: int, pixels: np.ndarray, title: str) -> list[tuple[str, Image.Image]]:
    """(title, picture) of what was computed for the image."""
    panels = [(title, draw(pixels, []))]
    if not is_done(store, PROPOSALS, row):
        return panels
    evidence = ev.read_evidence(store, row, pixels)
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
        panels.append((f"{len(chosen)} of {len(evidence.seeds.proposal)} seed masks", ev.seeds_picture(evidence)))
    return panels
