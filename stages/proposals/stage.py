"""Stage `proposals`: n^P object proposals per image, by one of four methods behind the same arrays.

`mcg` makes them from pixels, with region masks if asked for; `selective-search` is OpenCV's; `files` converts published
ones, `masks` those of a segmenter, with the masks. The modules of a method are imported when it first runs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from data.errors import InputError, some
from data.files import Folder
from data.masks import MASK_SIDE
from pipeline.spec import ArraySpec, Stage, StageInput
from stages.proposals.mcg.params import McgParams
from stages.proposals.params import (
    FROM_FILES,
    MasksParams,
    Params,
    SelectiveSearchParams,
    keeps_masks,
    proposals_params,
)
from store import contents

if TYPE_CHECKING:
    from stages.proposals.files import ProposalFiles
    from stages.proposals.mask_files import MaskFiles
    from stages.proposals.stored import ProposalStore

STAGE = "proposals"
VERSIONS = {"mcg": 4}
"""Of the methods; 1 where none is named. `mcg`: 2 has scores that are probabilities, 3 a contour net run by OpenCV, 4 a
ranking that sees colours."""


@dataclass(frozen=True)
class ComputeMcg:
    """Rows of one image by MCG."""

    params: McgParams

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        from stages.proposals.mcg.method import mcg_proposals
        from stages.proposals.mcg.warm_up import ensure_compiled

        ensure_compiled()
        return _rows(self.params, *mcg_proposals(_pixels(given), self.params))


@dataclass(frozen=True)
class ComputeSelectiveSearch:
    """Rows of one image by OpenCV's selective search."""

    params: SelectiveSearchParams

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        from stages.proposals.selective_search import selective_search

        return _rows(self.params, *selective_search(_pixels(given), self.params))


@dataclass(frozen=True)
class ComputeFiles:
    """Rows of one image from published proposals or masks; an image that they lack raises `ImageFailure`."""

    params: Params
    files: "ProposalFiles | ProposalStore | MaskFiles"

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        return _rows(self.params, *self.files.lookup(given.record.id, given.record.size))


def proposals_stage(settings: Mapping[str, Any], proposals_from: str | None = None) -> Stage:
    """The stage for `settings`, e.g. {"method": "mcg", "max_proposals": 2000}; the other keys depend on the method.

    proposals_from: folder or file of ready proposals; it implies method `files`, or `masks` where masks lie there.
    Raises InputError for unknown methods, keys and values, and for files that can not be read.
    """
    params = proposals_params(settings, proposals_from)
    if isinstance(params, McgParams):
        return _stage(params, ComputeMcg(params), ("numpy", "numba", "opencv-contrib-python-headless"))
    if isinstance(params, SelectiveSearchParams):
        return _stage(params, ComputeSelectiveSearch(params), ("numpy", "opencv-contrib-python-headless"))
    from stages.proposals.mask_files import MaskFiles

    path = Folder.at(proposals_from or "").url  # absolute: workers and repairs have other working folders
    files = _open_files(path, masks=isinstance(params, MasksParams))
    if not isinstance(params, MasksParams) and isinstance(files, MaskFiles):
        params = MasksParams(max_proposals=params.max_proposals)
    return _stage(params, ComputeFiles(params, files), ("numpy",), source=files.fingerprint, source_path=path)


def refuse_foreign_files(stage: Stage, image_ids: Sequence[str]) -> str | None:
    """What to tell of images that a stage's files lack, with the names that the files have; None if they lack none.

    Raises InputError if they have none of the images, or are of another data set altogether.
    """
    from stages.proposals.stored import ProposalStore

    if not isinstance(stage.compute, ComputeFiles) or isinstance(stage.compute.files, ProposalStore):
        return None
    lacking, names = stage.compute.files.missing(image_ids)
    if not lacking:
        return None
    told = f"{stage.source_path}: has nothing for {len(lacking)} of {len(image_ids)} images ({some(lacking, 3)})"
    told += f"; it knows images like {', '.join(repr(name) for name in names)}"
    if len(lacking) == len(image_ids):
        raise InputError(f"{told}; give the files of this data set, or name their images by its ids")
    return told


def _open_files(path: str, masks: bool) -> "ProposalFiles | ProposalStore | MaskFiles":
    """Published files, masks, or a store of this program."""
    from stages.proposals.files import ProposalFiles
    from stages.proposals.mask_files import MaskFiles
    from stages.proposals.stored import ProposalStore

    if Folder.at(path).has("zarr.json") and not masks:
        return ProposalStore(path)
    return MaskFiles(path) if masks or MaskFiles.at(path) else ProposalFiles(path)


def _stage(
    params: Params,
    compute: Callable[[StageInput], Mapping[str, np.ndarray]],
    packages: tuple[str, ...],
    source: str | None = None,
    source_path: str | None = None,
) -> Stage:
    return Stage(
        name=STAGE,
        version=VERSIONS.get(params.method, 1),
        params=params,
        arrays=_arrays(params),
        compute=compute,
        needs_image=params.method not in FROM_FILES,
        packages=packages,
        source=source,
        source_path=source_path,
        memory=700_000_000,
    )


def _arrays(params: Params) -> tuple[ArraySpec, ...]:
    capacity = params.max_proposals
    arrays: tuple[ArraySpec, ...] = (
        ArraySpec(contents.PROPOSAL_BOX, (capacity, 4), "float32"),
        ArraySpec(contents.PROPOSAL_SCORE, (capacity,), "float32"),
        ArraySpec(contents.PROPOSAL_COUNT, (), "int32"),
    )
    if keeps_masks(params):
        arrays += (ArraySpec(contents.PROPOSAL_MASK, (capacity, MASK_SIDE, MASK_SIDE // 8), "uint8"),)
    return arrays


def _pixels(given: StageInput) -> np.ndarray:
    if given.image is None:
        raise ValueError(f"stage {STAGE} was run without the pixels of image {given.record.id}")
    return given.image


def _rows(
    params: Params, boxes: np.ndarray, scores: np.ndarray, masks: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Pad to the declared arrays; proposals beyond the capacity are cut off (they come best first)."""
    rows = {spec.name: spec.row() for spec in _arrays(params)}
    count = min(len(boxes), params.max_proposals)
    rows[contents.PROPOSAL_BOX][:count] = boxes[:count]
    rows[contents.PROPOSAL_SCORE][:count] = scores[:count]
    rows[contents.PROPOSAL_COUNT][...] = count
    if masks is not None:
        rows[contents.PROPOSAL_MASK][:count] = masks[:count]
    return rows
