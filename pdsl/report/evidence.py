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
from store.layout import DONE
from store.store import Store

TOP_PROPOSALS = 20
NEIGHBOURS = 12
SEEDS = 6
APART = 0.25
"""Seeds that are shown together overlap less than this (IoU of boxes)."""


@dataclass(frozen=True)
class Evidence:
    """What a store holds for one image; a stage that was not run for it leaves None.

    image: (H, W, 3) uint8. box: (P, 4) float32 xyxy, best first. neighbor: (P, K) and iou: (P, K), the IoU graph.
    seed: (Q,) rows of `box`; seed_mask: (Q, 56, 7) uint8, packed.
    """

    image: np.ndarray
    box: np.ndarray
    neighbor: np.ndarray | None = None
    iou: np.ndarray | None = None
    seed: np.ndarray | None = None
    seed_mask: np.ndarray | None = None


def read_evidence(store: Store, row: int, image: np.ndarray) -> Evidence:
    """Everything that was computed for image `row`. Raises InputError if not even its proposals were."""
    n_proposals = int(store.read("proposals/count", row))
    box = store.read("proposals/box", row)[:n_proposals]
    neighbor = iou = seed = mask = None
    if _has(store, "iou_graph/neighbor", row):
        neighbor, iou = (store.read(f"iou_graph/{name}", row)[:n_proposals] for name in ("neighbor", "iou"))
    if _has(store, "grabcut/mask", row):
        n_seeds = int(store.read("grabcut/count", row))
        seed, mask = (store.read(f"grabcut/{name}", row)[:n_seeds] for name in ("seed", "mask"))
    return Evidence(image, box, neighbor, iou, seed, mask)


def proposals_picture(evidence: Evidence) -> Image.Image:
    """The best TOP_PROPOSALS boxes; the best five stand out."""
    shapes = [Shape(SECOND if rank < 5 else ACCENT, box) for rank, box in enumerate(evidence.box[:TOP_PROPOSALS])]
    return draw(evidence.image, shapes, dim=0.35)


def central_proposal(evidence: Evidence) -> int:
    """Of the best TOP_PROPOSALS, the one whose nearest neighbours overlap it most; one of object size if possible."""
    if evidence.iou is None or not len(evidence.iou):
        return 0
    closeness = evidence.iou[:TOP_PROPOSALS, 1 : NEIGHBOURS + 1].astype(np.float32).sum(1)
    height, width = evidence.image.shape[:2]
    large = area(evidence.box[:TOP_PROPOSALS]) > 0.4 * height * width
    return int(np.where(large, closeness - NEIGHBOURS, closeness).argmax())


def neighbours_picture(evidence: Evidence) -> Image.Image:
    """One proposal (bold, with its rank) and its nearest neighbours in the IoU graph."""
    if evidence.neighbor is None or evidence.iou is None or not len(evidence.box):
        return draw(evidence.image, [])
    centre = central_proposal(evidence)
    iou = evidence.iou[centre, 1 : NEIGHBOURS + 1]
    near = evidence.neighbor[centre, 1 : NEIGHBOURS + 1][iou > 0]
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
    """Up to SEEDS rows of `seed`, in order of their proposals' rank, whose boxes overlap less than APART."""
    if evidence.seed is None or not len(evidence.seed):
        return []
    box = evidence.box[evidence.seed]
    iou = pairwise_iou(box, box)
    chosen: list[int] = []
    for row in np.argsort(evidence.seed, kind="stable"):
        if len(chosen) < SEEDS and all(iou[row, other] < APART for other in chosen):
            chosen.append(int(row))
    return chosen


def _full(evidence: Evidence, rows: list[int], size: tuple[int, int]) -> list[tuple[int, RLE]]:
    """(proposal, full-image mask) of each seed."""
    if evidence.seed is None or evidence.seed_mask is None:
        return []
    proposals = [int(evidence.seed[row]) for row in rows]
    masks = [
        paste(unpack(evidence.seed_mask[row]), evidence.box[p], size) for row, p in zip(rows, proposals, strict=True)
    ]
    return [(proposal, rle.encode(mask)) for proposal, mask in zip(proposals, masks, strict=True)]


def _has(store: Store, array: str, row: int) -> bool:
    return store.has(array) and int(store.status(array.split("/")[0])[row]) == DONE
