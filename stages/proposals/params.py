"""Parameters of stage `proposals`: one class a method, filled from `--set proposals.<name>=<value>`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from data.errors import InputError, nearest
from data.parameters import replace
from stages.proposals.mcg.params import McgParams

LARGEST_CAPACITY = 65_536
"""Later stages store indices of proposals as uint16."""


@dataclass(frozen=True)
class SelectiveSearchParams:
    """Method `selective-search`: OpenCV's.

    method: how the proposals are made, or where they come from.
    mode: OpenCV's "fast" or "quality".
    max_proposals: n^P, proposals per image.
    side: long side in pixels at most, at which it works.
    """

    method: Literal["selective-search"] = "selective-search"
    mode: Literal["fast", "quality"] = "quality"
    max_proposals: int = 2000
    side: int = 500

    def __post_init__(self) -> None:
        if self.side < 1:
            raise ValueError(f"side is {self.side}; it must be at least 1 pixel")


@dataclass(frozen=True)
class FilesParams:
    """Method `files`: published proposals, with --proposals-from.

    method: how the proposals are made, or where they come from.
    max_proposals: the first so many of each image's proposals.
    """

    method: Literal["files"] = "files"
    max_proposals: int = 2000


@dataclass(frozen=True)
class MasksParams:
    """Method `masks`: masks by any segmenter with their boxes, with --proposals-from.

    method: how the proposals are made, or where they come from.
    max_proposals: the first so many of each image's masks.
    """

    method: Literal["masks"] = "masks"
    max_proposals: int = 2000


Params = McgParams | SelectiveSearchParams | FilesParams | MasksParams
METHODS: dict[str, Params] = {p.method: p for p in (McgParams(), SelectiveSearchParams(), FilesParams(), MasksParams())}
"""Default parameters of each method."""
FROM_FILES = ("files", "masks")
"""Methods that read what others made."""


def keeps_masks(params: Params) -> bool:
    """Whether the method writes region masks beside the boxes."""
    return isinstance(params, MasksParams) or (isinstance(params, McgParams) and params.masks)


def proposals_params(settings: Mapping[str, Any], proposals_from: str | None) -> Params:
    """The parameters of the method that the settings name; reads no file.

    Raises InputError for unknown methods, keys and values, and where method and `proposals_from` contradict each other.
    """
    method = str(settings.get("method", "mcg" if proposals_from is None else "files")).replace("_", "-")
    if method not in METHODS:
        raise InputError(f"proposals.method: unknown method '{method}'{nearest(method, METHODS)}")
    if method in FROM_FILES and proposals_from is None:
        raise InputError(f"proposals.method: '{method}' needs the folder or file; give --proposals-from DIR|FILE")
    if method not in FROM_FILES and proposals_from is not None:
        raise InputError(
            f"proposals.method: '{method}' reads no files; leave out --proposals-from or use method 'files'"
        )
    values = {key: value for key, value in settings.items() if key != "method"}
    if method != "mcg" and "masks" in values:
        raise InputError(
            f"proposals.masks: method '{method}' has no region masks; leave the key out or use method 'mcg'"
        )
    params = replace(METHODS[method], values, "proposals")
    if not 1 <= params.max_proposals <= LARGEST_CAPACITY:
        raise InputError(f"proposals.max_proposals: {params.max_proposals} is not within 1 to {LARGEST_CAPACITY}")
    return params
