"""The offline stages by name: the one place where settings become a `pipeline.spec.Stage`.

The modules of a stage are imported when it is built, so that listing or misspelling a name costs nothing.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from data.errors import InputError, nearest
from data.records import ImageRecord
from pipeline.spec import Stage, StageInput
from stages.proposals.params import LARGEST_CAPACITY, proposals_params
from store.contents import PROPOSAL_BOX, PROPOSAL_MASK
from store.errors import IncompleteStoreError
from store.store import Store

STAGE_NAMES = ("proposals", "iou-graph", "grabcut")
"""In the order in which they run; each reads the ones before it."""


def canonical_name(name: str) -> str:
    """A stage's name as in STAGE_NAMES; `iou_graph` and `iou-graph` are the same. Raises InputError for any other."""
    found = name.replace("_", "-")
    if found not in STAGE_NAMES:
        raise InputError(f"unknown stage '{name}'{nearest(found, STAGE_NAMES)}")
    return found


def settings_by_stage(
    settings: Mapping[str, Any], where: str = "", also: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """{"grabcut": {"seeds": "all"}} of what was set by any spelling of the stages' names, and of the groups in `also`.

    Raises InputError, which begins with `where`, for unknown names and values without a stage.
    """
    groups: dict[str, dict[str, Any]] = {}
    for key, values in settings.items():
        if not isinstance(values, Mapping):
            raise InputError(f"{where}{key}: expected STAGE.PARAMETER=value, e.g. proposals.method=files")
        name = str(key) if key in also else canonical_name(str(key))
        groups[name] = {**groups.get(name, {}), **values}
    return groups


def check_settings(name: str, settings: Mapping[str, Any], proposals_from: str | None = None) -> None:
    """Raises InputError for settings with which `build_stage` would refuse; reads no file and needs no store."""
    if canonical_name(name) == "proposals":
        proposals_params(settings, proposals_from)
    else:
        build_stage(name, settings, capacity=LARGEST_CAPACITY)


def build_stage(
    name: str,
    settings: Mapping[str, Any] | None = None,
    *,
    proposals_from: str | None = None,
    capacity: int | None = None,
) -> Stage:
    """The stage `name` with `settings`.

    settings: the `--set` keys below the stage's name, nested, e.g. {"method": "opencv", "opencv": {"iterations": 1}}.
    proposals_from: folder or file of ready proposals (stage `proposals` with method `files`).
    capacity: P, the rows of `proposals/box`; needed by every stage but `proposals`, which sets it (`max_proposals`).
    Raises InputError for an unknown stage, an unknown key (with the nearest known one) or a value of a wrong type.
    """
    found = canonical_name(name)
    values = dict(settings or {})
    if found == "proposals":
        from stages.proposals.stage import proposals_stage

        return proposals_stage(values, proposals_from)
    if capacity is None:
        raise InputError(f"stage '{found}': the capacity P of its proposals is not known; run stage 'proposals' first")
    if not 1 <= capacity <= LARGEST_CAPACITY:
        raise InputError(
            f"proposals.max_proposals: {capacity} is not within 1 to {LARGEST_CAPACITY} (indices are stored as uint16)"
        )
    if found == "iou-graph":
        from stages.iou_graph.stage import iou_graph_stage

        return iou_graph_stage(values, capacity)
    from stages.grabcut import grabcut_stage

    return grabcut_stage(values, capacity)


def compute_image(
    name: str,
    image: np.ndarray,
    settings: Mapping[str, Any] | None = None,
    upstream: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Run stage `name` on one image in memory: its arrays' rows by name, as they would stand in a store.

    image: (H, W, 3) uint8 RGB. settings: as for `build_stage`. upstream: the rows of the stages before, by name.
    Raises InputError as `build_stage` does, for another kind of image, or if a row it reads is missing; ImageFailure
    where the stage fails.

    >>> image = np.zeros((60, 80, 3), np.uint8)
    >>> rows = compute_image("proposals", image, {"method": "selective-search", "max_proposals": 50})
    >>> rows |= compute_image("iou-graph", image, upstream=rows)
    >>> rows["proposals/box"][: int(rows["proposals/count"])].tolist()
    [[0.0, 0.0, 80.0, 60.0]]
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(f"image: {image.dtype} of shape {image.shape}; it must be (height, width, 3) uint8 RGB")
    rows = dict(upstream or {})
    capacity = len(rows[PROPOSAL_BOX]) if PROPOSAL_BOX in rows else None
    stage = build_stage(name, settings, capacity=capacity)
    for needed in stage.reads:
        if needed not in rows:
            raise InputError(f"stage '{stage.name}' reads '{needed}': run the stages before it and pass their rows")
    record = ImageRecord("image", "", (image.shape[0], image.shape[1]), ())
    return dict(stage.compute(StageInput(record, image if stage.needs_image else None, rows)))


def stage_for(
    store: Store, name: str, settings: Mapping[str, Any] | None = None, *, proposals_from: str | None = None
) -> Stage:
    """`build_stage` for the proposals that `store` has. Raises InputError also where they lack the masks it reads."""
    capacity = store.layout(PROPOSAL_BOX).row_shape[0] if store.has(PROPOSAL_BOX) else None
    stage = build_stage(name, settings, proposals_from=proposals_from, capacity=capacity)
    if PROPOSAL_MASK in stage.reads and not store.has(PROPOSAL_MASK):
        raise InputError(
            f"{store.url}: its proposals have no masks, which grabcut.method=proposal-masks needs; run stage "
            "'proposals' with --set proposals.masks=true, or with masks of a segmenter by --proposals-from"
        )
    return stage


def stored_stage(store: Store, group: str) -> Stage:
    """The stage that computed what `store` holds in `group`, from its stored parameters.

    Raises IncompleteStoreError if it was not begun, InputError if this program has no such stage or parameters.
    """
    identity = store.identity(group)
    if identity is None:
        raise IncompleteStoreError(f"{store.url}: has no '{group}'; run precompute for its stage")
    try:
        return stage_for(store, identity.stage, identity.params, proposals_from=identity.source_path)
    except InputError as error:
        raise InputError(f"{store.url}: '{group}' can not be made again as it was: {error}") from error
