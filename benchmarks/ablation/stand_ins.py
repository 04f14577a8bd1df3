"""What takes the place of a stage where its worth is asked for."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.ablation.used_seeds import Used
from data.masks import MASK_SIDE
from data.records import ImageList
from pipeline.executors import Executor
from pipeline.runner import run_stage
from pipeline.spec import ArraySpec, Stage, StageInput
from stages.grabcut.parameters import GrabcutParams
from stages.grabcut.stage import grabcut_stage, seed_masks
from store import contents
from store.store import Store, open_store


def store_with(stage: Callable[[Store], Stage], base: str, place: Path, images: ImageList, executor: Executor) -> str:
    """The folder `place`: a copy of the store at `base` with one stage computed by another; kept if there."""
    if not place.exists():
        partial = place.with_name(f"{place.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(base, partial)
        store = open_store(str(partial))
        run_stage(store, images, stage(store), executor, overwrite=True)
        partial.rename(place)
    return str(place)


@dataclass(frozen=True)
class WholeBoxes:
    """Stand-in for GrabCut: the seeds are all proposals, their masks all ones. capacity: P."""

    capacity: int

    def __call__(self, given: StageInput) -> Mapping[str, np.ndarray]:
        return {
            contents.SEED_INDEX: np.arange(self.capacity, dtype=np.uint16),
            contents.SEED_MASK: np.full((self.capacity, MASK_SIDE, MASK_SIDE // 8), 255, np.uint8),
            contents.SEED_COUNT: np.int32(given.arrays[contents.PROPOSAL_COUNT]),
        }

    @classmethod
    def stage(cls, store: Store) -> Stage:
        """In the place of stage `grabcut` of a store."""
        p = store.layout(contents.PROPOSAL_BOX).row_shape[0]
        whole = cls(p)
        reads = contents.PROPOSAL_COUNT, contents.GRAPH_DEGREE
        return Stage(contents.GRABCUT, 1, whole, _seed_arrays(p), whole, reads, needs_image=False)


@dataclass(frozen=True)
class FewSeeds:
    """GrabCut for those of an image's seeds alone that a training was seen to take. capacity: P."""

    params: GrabcutParams
    used: Used
    capacity: int

    def __call__(self, given: StageInput) -> Mapping[str, np.ndarray]:
        assert given.image is not None
        scores = given.arrays[contents.PROPOSAL_SCORE][: int(given.arrays[contents.PROPOSAL_COUNT])]
        seeds = np.flatnonzero(np.isin(scores, [*self.used.get(given.record.id, ())]))
        rows = {array.name: array.row() for array in _seed_arrays(self.capacity)}
        rows[contents.SEED_INDEX][: len(seeds)] = seeds
        boxes = given.arrays[contents.PROPOSAL_BOX][seeds]
        rows[contents.SEED_MASK][: len(seeds)] = seed_masks(given.image, boxes, self.params).packed
        rows[contents.SEED_COUNT] = np.asarray(len(seeds), np.int32)
        return rows

    @classmethod
    def stage(cls, params: GrabcutParams, used: Used, store: Store) -> Stage:
        """In the place of stage `grabcut` of a store."""
        p = store.layout(contents.PROPOSAL_BOX).row_shape[0]
        reads = contents.PROPOSAL_BOX, contents.PROPOSAL_SCORE, contents.PROPOSAL_COUNT, contents.GRAPH_DEGREE
        return Stage(contents.GRABCUT, 1, params, _seed_arrays(p), cls(params, used, p), reads)


def _seed_arrays(capacity: int) -> tuple[ArraySpec, ...]:
    """Those of the stage by OpenCV's GrabCut for all of P proposals: no quality."""
    return grabcut_stage({"method": "opencv", "seeds": "all"}, capacity).arrays
