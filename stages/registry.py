"""The offline stages by name: the one place where settings become a `pipeline.spec.Stage`.

The modules of a stage are imported when it is built, so that listing or misspelling a name costs nothing.
"""

from collections.abc import Mapping
from typing import Any

from data.errors import InputError, nearest
from pipeline.spec import Stage
from store.contents import PROPOSAL_BOX
from store.store import IncompleteStoreError, Store

STAGE_NAMES = ("proposals", "iou-graph", "grabcut")
"""In the order in which they run; each reads the ones before it."""


def canonical_name(name: str) -> str:
    """A stage's name as in STAGE_NAMES; `iou_graph` and `iou-graph` are the same. Raises InputError for any other."""
    found = name.replace("_", "-")
    if found not in STAGE_NAMES:
        raise InputError(f"unknown stage '{name}'{nearest(found, STAGE_NAMES)}")
    return found


def check_settings(name: str, settings: Mapping[str, Any], proposals_from: str | None = None) -> None:
    """Raises InputError for settings with which `build_stage` would refuse; reads no file and needs no store."""
    from stages.proposals.stage import LARGEST_CAPACITY, proposals_settings

    if canonical_name(name) == "proposals":
        proposals_settings(settings, proposals_from)
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
    if not 1 <= capacity <= 65_536:
        raise InputError(f"proposals.max_proposals: {capacity} is not within 1 to 65536 (indices are stored as uint16)")
    if found == "iou-graph":
        from stages.iou_graph.stage import iou_graph_stage

        return iou_graph_stage(values, capacity)
    from stages.grabcut import grabcut_stage

    return grabcut_stage(values, capacity)


def stage_for(
    store: Store, name: str, settings: Mapping[str, Any] | None = None, *, proposals_from: str | None = None
) -> Stage:
    """`build_stage` for the proposals that `store` has."""
    capacity = store.layout(PROPOSAL_BOX).row_shape[0] if store.has(PROPOSAL_BOX) else None
    return build_stage(name, settings, proposals_from=proposals_from, capacity=capacity)


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
