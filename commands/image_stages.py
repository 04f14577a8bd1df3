"""What a run's detections of a new image rest on, computed for this image alone: its proposals and its seed masks."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.errors import InputError
from data.records import ImageRecord
from pdsl.run.trained import TrainedModel
from pipeline.spec import Stage, StageInput
from stages.grabcut.stage import PROPOSAL_MASKS
from stages.proposals.params import FROM_FILES
from stages.registry import build_stage
from store.contents import (
    GRABCUT,
    IOU_GRAPH,
    PROPOSAL_BOX,
    PROPOSAL_COUNT,
    PROPOSAL_SCORE,
    PROPOSALS,
    SEED_COUNT,
    SEED_INDEX,
    SEED_MASK,
    Proposals,
    Seeds,
)
from store.store import open_store


@dataclass(frozen=True)
class ImageStages:
    """proposals: that stage. seeds: the stages behind the seed masks, in order; none where the run blends in none."""

    proposals: Stage
    seeds: tuple[Stage, ...] = ()

    def compute(self, record: ImageRecord, pixels: np.ndarray) -> tuple[Proposals, Seeds | None]:
        """Of an image (H, W, 3) uint8. Raises pipeline.spec.ImageFailure where a stage fails."""
        rows = dict(self.proposals.compute(StageInput(record, pixels)))
        count = int(rows[PROPOSAL_COUNT])
        found = Proposals(rows[PROPOSAL_BOX][:count], rows[PROPOSAL_SCORE][:count])
        if not self.seeds or not count:
            return found, None
        for stage in self.seeds:
            rows |= stage.compute(StageInput(record, pixels, rows))
        n = int(rows[SEED_COUNT])
        return found, Seeds(rows[SEED_INDEX][:n], rows[SEED_MASK][:n])


def image_stages(trained: TrainedModel, method: str | None = None) -> ImageStages:
    """The stages as the run's training had them; `method` overrides that of the proposals.

    Raises InputError as `proposal_stage`, and where the run's seeds rest on what a new image has not.
    """
    proposals = proposal_stage(trained, method)
    if not trained.config.inference.seed_weight:
        return ImageStages(proposals)
    recipe = _seed_params(trained)
    if recipe.get(GRABCUT, {}).get("method") == PROPOSAL_MASKS:
        raise InputError(
            "--run: blends its masks with seeds from the proposals' own masks, which a new image has not; train with "
            "inference.seed_weight=0"
        )
    capacity = int(proposals.plain_params()["max_proposals"])
    seeds = tuple(_seed_stage(group, recipe.get(group, {}), capacity) for group in (IOU_GRAPH, GRABCUT))
    return ImageStages(proposals, seeds)


def _seed_stage(group: str, params: Mapping[str, Any], capacity: int) -> Stage:
    """A stage behind the proposals; where this version of it knows other parameters, with which seeds and by which
    method as they were, and its own defaults for how, of which the user is told."""
    try:
        return build_stage(group, params, capacity=capacity)
    except InputError as error:
        plain = {name: value for name, value in params.items() if not isinstance(value, Mapping)}
        stage = build_stage(group, plain, capacity=capacity)
        told = "its seed masks were made by another version of the stage"
        print(
            f"--run: {told} ({str(error).partition(';')[0]}); this version's are taken, and masks differ a little",
            file=sys.stderr,
        )
        return stage


def proposal_stage(trained: TrainedModel, method: str | None = None) -> Stage:
    """Stage `proposals` as the run's training had it, by its checkpoint or else by its first store; `method` overrides.

    Raises InputError where nobody knows, or the training's proposals were ready-made: others give other detections.
    """
    if method is not None:
        return build_stage("proposals", {"method": method, "max_proposals": trained.config.data.max_proposals})
    params = _stored_params(trained, PROPOSALS) if trained.proposals is None else dict(trained.proposals["params"])
    if params is None:
        raise InputError(
            "--run: does not say how its proposals were made, and its stores are gone; name --proposals METHOD"
        )
    if params.get("method") in FROM_FILES:
        raise InputError(
            "--run: was trained with ready proposals, which a new image has not; name --proposals METHOD to make some "
            "(expect other figures than with those of the training)"
        )
    try:
        return build_stage("proposals", params)
    except InputError as error:
        raise InputError(
            f"--run: its proposals were made by another version of the stage ({error}); name --proposals METHOD "
            "(expect other figures than with those of the training)"
        ) from error


def _seed_params(trained: TrainedModel) -> dict[str, Any]:
    """Parameters by stage; those of the defaults where nobody knows."""
    if trained.seeds is not None:
        return dict(trained.seeds)
    found = {group: _stored_params(trained, group) for group in (IOU_GRAPH, GRABCUT)}
    return {group: params for group, params in found.items() if params}


def _stored_params(trained: TrainedModel, group: str) -> dict[str, Any] | None:
    try:
        identity = open_store(trained.config.data.stores[0]).identity(group)
    except (InputError, IndexError):
        return None
    return dict(identity.params) if identity else None
