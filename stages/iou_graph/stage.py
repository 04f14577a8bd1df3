"""Stage `iou-graph`: for each proposal its nearest proposals by box IoU, and how many overlap it by half or more.

It holds what the seed acquisition of PDSL (section 3.3) asks of pairs of boxes, once per image instead of once per
training step. A pure function of the boxes: exact, on one core.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.parameters import replace
from pipeline.spec import ArraySpec, Stage, StageInput
from store import contents

STAGE = "iou-graph"
VERSION = 1

DEGREE_IOU = 0.5
"""`degree` counts proposals of at least this IoU: the foreground threshold of the refinement heads."""


@dataclass(frozen=True)
class IouGraphParams:
    """Whom the graph joins.

    neighbors: K, entries per proposal, itself included.
    """

    neighbors: int = 64

    def __post_init__(self) -> None:
        if self.neighbors < 1:
            raise ValueError(f"neighbors is {self.neighbors}; it must be at least 1 (the proposal itself)")


@dataclass(frozen=True)
class IouGraph:
    """Nearest neighbours by IoU of n proposals.

    neighbor: (n, K) uint16, the proposal itself first, then others by falling IoU, ties by index; padded with 0.
    iou: (n, K) float16, their IoU; the first is 1 even if the box is degenerate; 0 marks padding.
    degree: (n,) uint16, number of proposals with exact IoU >= 0.5, itself included.
    """

    neighbor: np.ndarray
    iou: np.ndarray
    degree: np.ndarray


def build_graph(boxes: np.ndarray, neighbors: int) -> IouGraph:
    """The graph of `boxes` (n, 4) float32 xyxy half-open; order by float64 IoU, before it is rounded to float16.

    A degenerate box (no area) has IoU 0 with all others. Pairs of IoU 0 are no neighbours.
    """
    from stages.iou_graph.kernel import nearest_by_iou

    order, exact, degree = nearest_by_iou(np.ascontiguousarray(boxes, np.float64), neighbors, DEGREE_IOU)
    iou = exact.astype(np.float16)
    order[iou == 0] = 0
    return IouGraph(order.astype(np.uint16), iou, degree.astype(np.uint16))


@dataclass(frozen=True)
class ComputeIouGraph:
    """Rows of one image: the graph of its valid proposals, zeros below."""

    params: IouGraphParams

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        boxes = given.arrays[contents.PROPOSAL_BOX]
        count = int(given.arrays[contents.PROPOSAL_COUNT])
        graph = build_graph(boxes[:count], self.params.neighbors)
        rows = {spec.name: spec.row() for spec in _arrays(self.params, len(boxes))}
        rows[contents.GRAPH_NEIGHBOR][:count] = graph.neighbor
        rows[contents.GRAPH_IOU][:count] = graph.iou
        rows[contents.GRAPH_DEGREE][:count] = graph.degree
        return rows


def _arrays(params: IouGraphParams, capacity: int) -> tuple[ArraySpec, ...]:
    return (
        ArraySpec(contents.GRAPH_NEIGHBOR, (capacity, params.neighbors), "uint16"),
        ArraySpec(contents.GRAPH_IOU, (capacity, params.neighbors), "float16"),
        ArraySpec(contents.GRAPH_DEGREE, (capacity,), "uint16"),
    )


def iou_graph_stage(settings: Mapping[str, Any], capacity: int) -> Stage:
    """The stage for proposals of capacity P. Raises InputError for unknown keys and bad values."""
    params = replace(IouGraphParams(), settings, STAGE)
    return Stage(
        name=STAGE,
        version=VERSION,
        params=params,
        arrays=_arrays(params, capacity),
        compute=ComputeIouGraph(params),
        reads=(contents.PROPOSAL_BOX, contents.PROPOSAL_COUNT),
        needs_image=False,
        packages=("numpy", "numba"),
        memory=400_000_000,
    )
