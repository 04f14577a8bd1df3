"""What a stage is: a pure function of one image and the arrays it declares. No Dask and no Zarr here."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from data.errors import InputError
from data.records import ImageRecord
from store.identity import StageIdentity, group_of, package_versions, plain
from store.layout import STATUS, ArrayLayout


@dataclass(frozen=True)
class ArraySpec:
    """One array of a stage: shape (N, *row_shape) in the store; `row_shape` () is one scalar per image."""

    name: str
    row_shape: tuple[int, ...]
    dtype: str

    def row(self) -> np.ndarray:
        """A row of zeros: what a failed or pending image holds."""
        return np.zeros(self.row_shape, self.dtype)


@dataclass(frozen=True)
class StageInput:
    """What a stage's function sees of one image.

    image: (H, W, 3) uint8 RGB, or None if the stage does not ask for pixels.
    arrays: upstream rows by full name, e.g. {"proposals/box": (P, 4) float32, "proposals/count": () int32}.
    """

    record: ImageRecord
    image: np.ndarray | None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


WORKER_MEMORY = 1_000_000_000
"""Bytes of a worker where a stage states none: Python, the libraries of the heaviest stage, an image, its results."""


class ImageFailure(Exception):
    """Raised by a stage for one image; the message becomes its recorded reason, the run goes on."""


Compute = Callable[[StageInput], Mapping[str, np.ndarray]]
"""What a stage does with one image: {name: row} for each array it declares."""


class Part(Protocol):
    """A part of a stage's work on an image, to tell what all of it costs."""

    def __call__(self, given: StageInput, /) -> Mapping[str, np.ndarray]:
        """As the stage's `compute`."""
        ...

    def share(self, arrays: Mapping[str, np.ndarray]) -> float:
        """Which share of the stage's work that is, in (0, 1], from the upstream rows of the image."""
        ...


@dataclass(frozen=True)
class Stage:
    """One offline stage.

    name: as typed ("iou-graph"); its group in the store is `group` ("iou_graph").
    version: raised whenever the stage's output changes for the same parameters.
    params: frozen dataclass of plain values; its fields are the stage's identity in the store.
    arrays: declared outputs. `compute` returns {name: row} for each, of exactly this shape and dtype.
    reads: full names of upstream arrays; the first part names the upstream stage's group.
    needs_image: whether pixels are decoded for it.
    compute: picklable callable (a function or a frozen dataclass with __call__), StageInput -> rows.
    packages: distributions whose version is part of the result.
    source: fingerprint of external files the stage reads (method `files`), else None. source_path: where they lie.
    memory: bytes that a worker of the stage takes at most, for photographs and 2000 proposals of each; it is no part of
        the stage's identity.
    part: what to measure where a whole image takes minutes; None: whole images.
    """

    name: str
    version: int
    params: Any
    arrays: tuple[ArraySpec, ...]
    compute: Compute
    reads: tuple[str, ...] = ()
    needs_image: bool = True
    packages: tuple[str, ...] = ("numpy",)
    source: str | None = None
    source_path: str | None = None
    memory: int = WORKER_MEMORY
    part: Part | None = None

    @property
    def group(self) -> str:
        """Name of the stage's group in the store."""
        return group_of(self.name)

    @property
    def upstream(self) -> tuple[str, ...]:
        """Groups of the stages this one reads, in order, without repetition."""
        return tuple(dict.fromkeys(name.split("/")[0] for name in self.reads))

    def plain_params(self) -> dict[str, Any]:
        """Parameters as plain JSON values."""
        return dict(plain(asdict(self.params)))


def stage_layouts(stage: Stage, n: int, shard: int) -> tuple[ArrayLayout, ...]:
    """The arrays of a stage, its status included. Raises InputError for arrays outside the stage's group."""
    for spec in stage.arrays:
        if not spec.name.startswith(f"{stage.group}/") or spec.name == f"{stage.group}/{STATUS}":
            raise InputError(f"stage {stage.name}: array '{spec.name}' is not one of group '{stage.group}'")
    rows = [ArrayLayout(s.name, s.row_shape, s.dtype, n, shard, packed=not s.row_shape) for s in stage.arrays]
    return (*rows, ArrayLayout(f"{stage.group}/{STATUS}", (), "uint8", n, shard, packed=True))


def identify(stage: Stage, upstream: Mapping[str, str]) -> StageIdentity:
    """The identity `stage` would have now, reading `upstream` (group -> fingerprint)."""
    return StageIdentity(
        stage=stage.name,
        version=stage.version,
        params=stage.plain_params(),
        source=stage.source,
        upstream=dict(upstream),
        packages=package_versions(stage.packages),
        source_path=stage.source_path,
    )
