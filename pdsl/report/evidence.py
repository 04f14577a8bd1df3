"""Pictures of what the stages found in an image: proposals, a proposal's neighbours, seed masks."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from data import rle
from data.boxes import area, pairwise_iou
from data.masks import paste, unpack
from data.truth import RLE
from pdsl.report.overlay import Shape, draw
from pdsl.report.palette import ACCENT, SECOND, class_colour
from store.contents import GRABCUT, IOU_GRAPH, IouGraph, Seeds, is_done, read_graph, read_proposals, read_seeds
from store.store import Store

TOP_PROPOSALS = 20
NEIGHBOURS = 12
SEEDS = 6
APART = 0.25
"""Seeds that are shown together overlap less than this (IoU of boxes)."""


@dataclass(frozen=True)
class Evidence:
    """What a store holds for one image; a stage that was not run for it leaves None.

    image: (H, W, 3) uint8. box: (P, 4) float32 xyxy, best first; graph and seeds are those of these boxes.
    """

    image: np.ndarray
    box: np.ndarray
    graph: IouGraph | None = None
    seeds: Seeds | None = None


def read_evidence(store: Store, row: int, image: np.ndarray) -> Evidence:
    """Everything that was computed for image `row`. Raises InputError if not even its proposals were."""
    graph = read_graph(store, row) if is_done(store, IOU_GRAPH, row) else None
    seeds = read_seeds(store, row) if is_done(store, GRABCUT, row) else None
    return Evidence(image, read_proposals(store, row).box, graph, seeds)


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
    """Masks of the best-ranked seeds whose boxes lie apart, each in its box."""
    size = (evidence.image.shape[0], evidence.image.shape[1])
    chosen = shown_seeds(evidence)
    shapes = [
        Shape(class_colour(n), evidence.box[proposal], mask)
        for n, (proposal, mask) in enumerate(_full(evidence, chosen, size))
    ]
    return draw(evidence.image, shapes, dim=0.35)


def shown_seeds(evidence: Evidence) -> list[int]:
    """Up to SEEDS rows of `seeds`, in order of their proposals' rank, whose boxes overlap less than APART."""
    if evidence.seeds is None or not len(evidence.seeds.proposal):
        return []
    box = evidence.box[evidence.seeds.proposal]
    iou = pairwise_iou(box, box)
    chosen: list[int] = []
    for row in np.argsort(evidence.seeds.proposal, kind="stable"):
        if len(chosen) < SEEDS and all(iou[row, other] < APART for other in chosen):
            chosen.append(int(row))
    return chosen


def _full(evidence: Evidence, rows: list[int], size: tuple[int, int]) -> list[tuple[int, RLE]]:
    """(proposal, full-image mask) of each seed."""
    if evidence.seeds is None:
        return []
    seeds = [(int(evidence.seeds.proposal[row]), evidence.seeds.mask[row]) for row in rows]
    return [(proposal, rle.encode(paste(unpack(mask), evidence.box[proposal], size))) for proposal, mask in seeds]
