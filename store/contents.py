"""What the stages put into a store: the arrays' names, and the one way to read an image's proposals, graph and seeds.

Rows are cut to what is valid; masks stay packed (`data.masks.unpack`). Reading an image that was not computed raises
IncompleteStoreError, a damaged one DamagedStoreError; of an image that failed nothing valid is left: no rows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from store.copies import Copies
from store.errors import IncompleteStoreError
from store.layout import DONE, STATUS
from store.store import Store

PROPOSALS, IOU_GRAPH, GRABCUT = "proposals", "iou_graph", "grabcut"
"""Groups of the stages, upstream first."""

PROPOSAL_BOX, PROPOSAL_SCORE = f"{PROPOSALS}/box", f"{PROPOSALS}/score"
PROPOSAL_COUNT, PROPOSAL_MASK = f"{PROPOSALS}/count", f"{PROPOSALS}/mask"
GRAPH_NEIGHBOR, GRAPH_IOU, GRAPH_DEGREE = f"{IOU_GRAPH}/neighbor", f"{IOU_GRAPH}/iou", f"{IOU_GRAPH}/degree"
SEED_INDEX, SEED_MASK, SEED_COUNT = f"{GRABCUT}/seed", f"{GRABCUT}/mask", f"{GRABCUT}/count"
SEED_QUALITY = f"{GRABCUT}/quality"


PROBABLE_SINCE = {"mcg": 2}
"""Methods whose scores are probabilities, by the version of stage `proposals` from which on they are."""

QUALITY_SINCE = {"colour-cut": 3}
"""Methods that tell the quality of their seeds, by the version of stage `grabcut` from which on they do."""


class Proposals(NamedTuple):
    """The n proposals of an image, best first. box: (n, 4) float32 xyxy; score: (n,) float32 objectness."""

    box: np.ndarray
    score: np.ndarray


class IouGraph(NamedTuple):
    """Nearest neighbours of an image's n proposals: neighbor (n, K) uint16, itself first; iou (n, K) float16, 0 where
    there is none; degree (n,) uint16, how many overlap by half or more."""

    neighbor: np.ndarray
    iou: np.ndarray
    degree: np.ndarray


class Seeds(NamedTuple):
    """The q seeds of an image. proposal: (q,) uint16 rows of its proposals; mask: (q, 56, 7) uint8 in their frames."""

    proposal: np.ndarray
    mask: np.ndarray


def has_old_scores(store: Store) -> bool:
    """Whether the scores of the proposals are those of before they were probabilities (boxes and order stay)."""
    identity = store.identity(PROPOSALS)
    return identity is not None and identity.version < PROBABLE_SINCE.get(str(identity.params.get("method")), 0)


def is_done(store: Store, group: str, row: int) -> bool:
    """Whether a stage was computed for image `row`: False if it failed, is pending, or was never begun."""
    try:
        return int(store.read(f"{group}/{STATUS}", row)) == DONE
    except IncompleteStoreError:
        return False


def read_proposals(store: Store, row: int, count: int | None = None) -> Proposals:
    """The proposals of image `row`. count: their number, where the caller has read it already."""
    n = int(store.read(PROPOSAL_COUNT, row)) if count is None else count
    return Proposals(store.read(PROPOSAL_BOX, row)[:n], store.read(PROPOSAL_SCORE, row)[:n])


def read_proposal_masks(store: Store, row: int) -> np.ndarray:
    """Region masks of image `row`'s proposals in their box frames, (n, 56, 7) uint8, where the stage kept them."""
    return store.read(PROPOSAL_MASK, row)[: int(store.read(PROPOSAL_COUNT, row))]


def read_graph(store: Store, row: int) -> IouGraph:
    """The IoU graph of image `row`."""
    n = int(store.read(PROPOSAL_COUNT, row))
    return IouGraph(*(store.read(name, row)[:n] for name in (GRAPH_NEIGHBOR, GRAPH_IOU, GRAPH_DEGREE)))


def read_for_training(
    store: Store, rows: Sequence[int], counts: Sequence[int], n_seeds: Sequence[int], copies: Copies | None = None
) -> list[tuple[Proposals, Seeds]]:
    """Proposals and seeds of several images, whose numbers the caller has read already, in one round trip.

    copies: where what comes from an object store is kept.
    """
    names = (PROPOSAL_BOX, PROPOSAL_SCORE, SEED_INDEX, SEED_MASK)
    found = store.read_together(names, rows, copies)
    return [
        (Proposals(box[:n], score[:n]), Seeds(seed[:q], mask[:q]))
        for (box, score, seed, mask), n, q in zip(found, counts, n_seeds, strict=True)
    ]


def read_seeds(store: Store, row: int, count: int | None = None) -> Seeds:
    """The seeds of image `row`. count: their number, where the caller has read it already."""
    n = int(store.read(SEED_COUNT, row)) if count is None else count
    return Seeds(store.read(SEED_INDEX, row)[:n], store.read(SEED_MASK, row)[:n])


def read_seed_quality(store: Store, row: int) -> np.ndarray | None:
    """What IoU the q seeds of image `row` are expected to have with their objects: (q,) float16 in [0, 1]; None where
    the method or an earlier version of the stage did not say."""
    identity = store.identity(GRABCUT)
    since = QUALITY_SINCE.get(str(identity.params.get("method"))) if identity is not None else None
    if identity is None or since is None or identity.version < since:
        return None
    return store.read(SEED_QUALITY, row)[: int(store.read(SEED_COUNT, row))]
