"""Pictures of what the stages found in an image: proposals, a proposal's neighbours, seed masks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from data import rle
from data.boxes import area, pairwise_iou
from data.masks import paste, unpack
from data.truth import RLE
from pdsl.report.overlay import Colour, Shape, draw
from pdsl.report.palette import ACCENT, SECOND, class_colour
from store.contents import (
    GRABCUT,
    IOU_GRAPH,
    IouGraph,
    Seeds,
    is_done,
    read_graph,
    read_proposals,
    read_seed_quality,
    read_seeds,
)
from store.store import Store

TOP_PROPOSALS = 20
NEIGHBOURS = 12
SEEDS = 6
WHOLE = 0.7
"""A mask that covers this share of the image says nothing of the others."""
APART = 0.25
"""Seeds that are shown together overlap less than this (IoU of boxes)."""


@dataclass(frozen=True)
class Evidence:
    """What a store holds for one image; a stage that was not run for it leaves None.

    image: (H, W, 3) uint8. box: (P, 4) float32 xyxy, best first; graph and seeds are those of these boxes.
    quality: (q,) expected IoU of the seeds with their objects, if the store tells.
    """

    image: np.ndarray
    box: np.ndarray
    graph: IouGraph | None = None
    seeds: Seeds | None = None
    quality: np.ndarray | None = None


def read_evidence(store: Store, row: int, image: np.ndarray) -> Evidence:
    """Everything that was computed for image `row`. Raises InputError if not even its proposals were."""
    graph = read_graph(store, row) if is_done(store, IOU_GRAPH, row) else None
    has_seeds = is_done(store, GRABCUT, row)
    seeds, quality = (read_seeds(store, row), read_seed_quality(store, row)) if has_seeds else (None, None)
    return Evidence(image, read_proposals(store, row).box, graph, seeds, quality)


def proposals_picture(evidence: Evidence) -> Image.Image:
    """The best TOP_PROPOSALS boxes; the best five stand out."""
    shapes = [Shape(SECOND if rank < 5 else ACCENT, box) for rank, box in enumerate(evidence.box[:TOP_PROPOSALS])]
    return draw(evidence.image, shapes, dim=0.35)


def central_proposal(evidence: Evidence) -> int:
    """Of the best TOP_PROPOSALS, the one whose nearest neighbours overlap it most; one of object size if possible."""
    if evidence.graph is None or not len(evidence.box):
        return 0
    closeness = evidence.graph.iou[:TOP_PROPOSALS, 1 : NEIGHBOURS + 1].astype(np.float32).sum(1)
    height, width = evidence.image.shape[:2]
    large = area(evidence.box[:TOP_PROPOSALS]) > 0.4 * height * width
    return int(np.where(large, closeness - NEIGHBOURS, closeness).argmax())


def neighbours_picture(evidence: Evidence) -> Image.Image:
    """One proposal (bold, with its rank) and its nearest neighbours in the IoU graph."""
    if evidence.graph is None or not len(evidence.box):
        return draw(evidence.image, [])
    centre = central_proposal(evidence)
    iou = evidence.graph.iou[centre, 1 : NEIGHBOURS + 1]
    near = evidence.graph.neighbor[centre, 1 : NEIGHBOURS + 1][iou > 0]
    shapes = [Shape(SECOND, evidence.box[centre], text=f"proposal {centre}")]
    shapes += [Shape(ACCENT, evidence.box[i]) for i in near]
    return draw(evidence.image, shapes, dim=0.35)


def seeds_picture(evidence: Evidence) -> Image.Image:
    """Masks of the seeds of `shown_seeds`, each in its box with its quality, the smallest on top."""
    if evidence.seeds is None:
        return draw(evidence.image, [])
    chosen = [(int(evidence.seeds.proposal[row]), row) for row in shown_seeds(evidence)]
    told = ["" if evidence.quality is None else f"{evidence.quality[row]:.2f}" for _, row in chosen]
    shapes = [
        Shape(class_colour(n), evidence.box[proposal], _mask_within(evidence, row, evidence.box[proposal]), told[n])
        for n, (proposal, row) in enumerate(chosen)
    ]
    return draw(evidence.image, smallest_first(shapes), dim=0.35)


def shown_seeds(evidence: Evidence) -> list[int]:
    """Up to SEEDS rows of `seeds`, in order of their proposals' rank, whose boxes overlap less than APART.

    Those that fill the image are shown only where there are no others: they would hide them.
    """
    if evidence.seeds is None or not len(evidence.seeds.proposal):
        return []
    box = evidence.box[evidence.seeds.proposal]
    fills = area(box) * np.unpackbits(evidence.seeds.mask, axis=-1).mean((1, 2)) >= WHOLE * _pixels(evidence)
    iou = pairwise_iou(box, box)
    chosen: list[int] = []
    for row in np.argsort(evidence.seeds.proposal, kind="stable"):
        if fills[row] and not fills.all():
            continue
        if len(chosen) < SEEDS and all(iou[row, other] < APART for other in chosen):
            chosen.append(int(row))
    return chosen


def seeded_proposals(evidence: Evidence) -> list[int]:
    """The proposals of `shown_seeds`: examples where nobody says which ones a detector prefers."""
    return [] if evidence.seeds is None else [int(evidence.seeds.proposal[row]) for row in shown_seeds(evidence)]


def targets_picture(evidence: Evidence, chosen: Sequence[tuple[int, Colour, str]]) -> Image.Image:
    """What the mask branch would be taught of proposals (row, colour, text): each the mask of its nearest seed."""
    if evidence.seeds is None or not len(evidence.seeds.proposal):
        return draw(evidence.image, [])
    iou = pairwise_iou(evidence.box[[row for row, _, _ in chosen]], evidence.box[evidence.seeds.proposal])
    shapes = [
        Shape(colour, evidence.box[row], _mask_within(evidence, int(overlap.argmax()), evidence.box[row]), text)
        for (row, colour, text), overlap in zip(chosen, iou, strict=True)
    ]
    return draw(evidence.image, smallest_first(shapes), dim=0.35)


def smallest_first(shapes: Iterable[Shape]) -> list[Shape]:
    """By the area of the box, so that no large one hides a small one."""
    return sorted(shapes, key=lambda shape: 0.0 if shape.box is None else float(area(shape.box[None])[0]))


def _mask_within(evidence: Evidence, row: int, box: np.ndarray) -> RLE:
    """The mask of seed `row` in the image, as far as it lies in `box` (4,)."""
    if evidence.seeds is None:
        raise ValueError("the image has no seeds")
    size = (evidence.image.shape[0], evidence.image.shape[1])
    own = evidence.box[evidence.seeds.proposal[row]]
    return rle.encode(paste(unpack(evidence.seeds.mask[row]), own, size) & paste(np.ones((1, 1), bool), box, size))


def _pixels(evidence: Evidence) -> int:
    return evidence.image.shape[0] * evidence.image.shape[1]
