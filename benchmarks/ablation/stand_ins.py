"""What takes the place of a stage where its worth is asked for."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.masks import MASK_SIDE
from data.records import ImageList
from pipeline.executors import Executor
from pipeline.runner import run_stage
from pipeline.spec import ArraySpec, Stage, StageInput
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
            "grabcut/seed": np.arange(self.capacity, dtype=np.uint16),
            "grabcut/mask": np.full((self.capacity, MASK_SIDE, MASK_SIDE // 8), 255, np.uint8),
            "grabcut/count": np.int32(given.arrays["proposals/count"]),
        }

    @classmethod
    def stage(cls, store: Store) -> Stage:
        """In the place of stage `grabcut` of a store."""
        p = store.layout("proposals/box").row_shape[0]
        whole = cls(p)
        arrays = (
            ArraySpec("grabcut/seed", (p,), "uint16"),
            ArraySpec("grabcut/mask", (p, MASK_SIDE, MASK_SIDE // 8), "uint8"),
            ArraySpec("grabcut/count", (), "int32"),
        )
        return Stage("grabcut", 1, whole, arrays, whole, ("proposals/count", "iou_graph/degree"), needs_image=False)
