"""Stage `proposals`: n^P object proposals per image, by one of three methods behind the same arrays.

`mcg` makes them from pixels, with region masks if asked for; `selective-search` is OpenCV's; `files` converts published
ones. The modules of a method are imported when it first runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from data.errors import InputError, nearest
from data.files import Folder
from data.masks import MASK_SIDE
from data.parameters import replace
from pipeline.spec import ArraySpec, Stage, StageInput
from stages.proposals.mcg.params import McgParams

if TYPE_CHECKING:
    from stages.proposals.files import ProposalFiles
    from stages.proposals.stored import StoredProposals

STAGE = "proposals"
VERSION = 1

LARGEST_CAPACITY = 65_536
"""Later stages store indices of proposals as uint16."""


@dataclass(frozen=True)
class McgSettings(McgParams):
    """Method `mcg`: see `McgParams`."""

    method: Literal["mcg"] = "mcg"


@dataclass(frozen=True)
class SelectiveSearchSettings:
    """Method `selective-search`: OpenCV's, in its mode "fast" or "quality", at a long side of `side` pixels."""

    method: Literal["selective-search"] = "selective-search"
    mode: Literal["fast", "quality"] = "quality"
    max_proposals: int = 2000
    side: int = 500

    def __post_init__(self) -> None:
        if self.side < 1:
            raise ValueError(f"side is {self.side}; it must be at least 1 pixel")


@dataclass(frozen=True)
class FilesSettings:
    """Method `files`: the first `max_proposals` of each image's published proposals."""

    method: Literal["files"] = "files"
    max_proposals: int = 2000


Settings = McgSettings | SelectiveSearchSettings | FilesSettings
METHODS: dict[str, Settings] = {s.method: s for s in (McgSettings(), SelectiveSearchSettings(), FilesSettings())}
"""Default settings of each method."""


@dataclass(frozen=True)
class ComputeMcg:
    """Rows of one image by MCG."""

    params: McgSettings

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        from stages.proposals.mcg import mcg_proposals

        return _rows(self.params, *mcg_proposals(_pixels(given), self.params))


@dataclass(frozen=True)
class ComputeSelectiveSearch:
    """Rows of one image by OpenCV's selective search."""

    params: SelectiveSearchSettings

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        from stages.proposals.selective_search import SelectiveSearchParams, selective_search

        params = SelectiveSearchParams(
            mode=self.params.mode, max_proposals=self.params.max_proposals, side=self.params.side
        )
        return _rows(self.params, *selective_search(_pixels(given), params))


@dataclass(frozen=True)
class ComputeFiles:
    """Rows of one image from published proposals; an image that they lack raises `ImageFailure`."""

    params: FilesSettings
    files: "ProposalFiles | StoredProposals"

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        return _rows(self.params, *self.files.lookup(given.record.id, given.record.size))


def proposals_stage(settings: Mapping[str, Any], proposals_from: str | None = None) -> Stage:
    """The stage for `settings`, e.g. {"method": "mcg", "max_proposals": 2000}; the other keys depend on the method.

    proposals_from: folder or file of ready proposals; it implies method `files`, which needs it.
    Raises InputError for unknown methods, keys and values, and for files that can not be read.
    """
    params = proposals_settings(settings, proposals_from)
    if isinstance(params, McgSettings):
        packages: tuple[str, ...] = ("numpy", "numba", "opencv-contrib-python-headless")
        packages += ("torch",) if params.contours == "net" else ()
        return _stage(params, ComputeMcg(params), packages)
    if isinstance(params, SelectiveSearchSettings):
        return _stage(params, ComputeSelectiveSearch(params), ("numpy", "opencv-contrib-python-headless"))
    path = Folder.at(proposals_from or "").url  # absolute: workers and repairs have other working folders
    files = _open_files(path)
    return _stage(params, ComputeFiles(params, files), ("numpy",), source=files.fingerprint(), source_path=path)


def _open_files(path: str) -> "ProposalFiles | StoredProposals":
    """Published files, or a store of this program."""
    from stages.proposals.files import ProposalFiles
    from stages.proposals.stored import StoredProposals

    return StoredProposals(path) if Folder.at(path).has("zarr.json") else ProposalFiles(path)


def proposals_settings(settings: Mapping[str, Any], proposals_from: str | None) -> Settings:
    """The parameters of the method that the settings name; reads no file. Raises InputError as `proposals_stage`."""
    method = str(settings.get("method", "mcg" if proposals_from is None else "files")).replace("_", "-")
    if method not in METHODS:
        raise InputError(f"proposals.method: unknown method '{method}'{nearest(method, METHODS)}")
    if method == "files" and proposals_from is None:
        raise InputError("proposals.method: 'files' needs the folder or file; give --proposals-from DIR|FILE")
    if method != "files" and proposals_from is not None:
        raise InputError(
            f"proposals.method: '{method}' reads no files; leave out --proposals-from or use method 'files'"
        )
    values = {key: value for key, value in settings.items() if key != "method"}
    if method != "mcg" and "masks" in values:
        raise InputError(
            f"proposals.masks: method '{method}' has no region masks; leave the key out or use method 'mcg'"
        )
    params = replace(METHODS[method], values, STAGE)
    if not 1 <= params.max_proposals <= LARGEST_CAPACITY:
        raise InputError(f"proposals.max_proposals: {params.max_proposals} is not within 1 to {LARGEST_CAPACITY}")
    return params


def _stage(
    params: Settings,
    compute: Callable[[StageInput], Mapping[str, np.ndarray]],
    packages: tuple[str, ...],
    source: str | None = None,
    source_path: str | None = None,
) -> Stage:
    return Stage(
        name=STAGE,
        version=VERSION,
        params=params,
        arrays=_arrays(params),
        compute=compute,
        needs_image=not isinstance(params, FilesSettings),
        packages=packages,
        source=source,
        source_path=source_path,
    )


def _arrays(params: Settings) -> tuple[ArraySpec, ...]:
    capacity = params.max_proposals
    arrays: tuple[ArraySpec, ...] = (
        ArraySpec("proposals/box", (capacity, 4), "float32"),
        ArraySpec("proposals/score", (capacity,), "float32"),
        ArraySpec("proposals/count", (), "int32"),
    )
    if isinstance(params, McgSettings) and params.masks:
        arrays += (ArraySpec("proposals/mask", (capacity, MASK_SIDE, MASK_SIDE // 8), "uint8"),)
    return arrays


def _pixels(given: StageInput) -> np.ndarray:
    if given.image is None:
        raise ValueError(f"stage {STAGE} was run without the pixels of image {given.record.id}")
    return given.image


def _rows(
    params: Settings, boxes: np.ndarray, scores: np.ndarray, masks: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Pad to the declared arrays; proposals beyond the capacity are cut off (they come best first)."""
    rows = {spec.name: spec.row() for spec in _arrays(params)}
    count = min(len(boxes), params.max_proposals)
    rows["proposals/box"][:count] = boxes[:count]
    rows["proposals/score"][:count] = scores[:count]
    rows["proposals/count"][...] = count
    if masks is not None:
        rows["proposals/mask"][:count] = masks[:count]
    return rows
