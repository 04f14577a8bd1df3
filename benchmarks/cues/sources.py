"""Where proposals and seeds come from: our stages with some settings, files of others, the annotations themselves."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.files import Folder
from data.parameters import nest, parse_assignment
from data.records import ImageRecord
from data.truth import ImageTruth
from pipeline.spec import ImageFailure, Stage, StageInput
from stages.registry import STAGE_NAMES, build_stage, settings_by_stage
from store.contents import PROPOSAL_MASK

DEFAULT, TRUTH = "default", "truth"


@dataclass(frozen=True)
class Source:
    """Three stages as `precompute` would run them. name: what the user called it."""

    name: str
    stages: tuple[Stage, ...]

    def rows(self, record: ImageRecord, pixels: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """All arrays of one image, none where the files lack it; CPU seconds of this process by stage."""
        arrays: dict[str, np.ndarray] = {}
        seconds = {}
        for stage in self.stages:
            start = time.process_time()
            try:
                arrays |= stage.compute(StageInput(record, pixels if stage.needs_image else None, arrays))
            except ImageFailure:
                arrays |= {spec.name: spec.row() for spec in stage.arrays}
            seconds[stage.name] = time.process_time() - start
        return arrays, seconds


def open_source(text: str, truths: Sequence[ImageTruth], folder: Path) -> Source:
    """The source that `text` means: what comes first, then perhaps `,STAGE.KEY=VALUE` as `precompute --set` takes them.

    First is `default` (or nothing but settings), `truth`, or a path as of `--proposals-from`. Masks of a file become
    the seeds, unless `grabcut.method` says otherwise. folder: where the annotations are written in a segmenter's
    layout. Raises InputError.
    """
    parts = text.split(",")
    first = DEFAULT if "=" in parts[0] and not Folder.at(parts[0]).has() else parts.pop(0)
    settings = settings_by_stage(nest(parse_assignment(part) for part in parts))
    if first == TRUTH:
        first = str(write_truth(truths, folder / "truth.json"))
    proposals_from = None if first == DEFAULT else first
    proposals = build_stage("proposals", settings.get("proposals"), proposals_from=proposals_from)
    if proposals_from is not None and PROPOSAL_MASK in {spec.name for spec in proposals.arrays}:
        settings["grabcut"] = {"method": "proposal-masks", **settings.get("grabcut", {})}
    capacity = proposals.arrays[0].row_shape[0]
    others = [build_stage(name, settings.get(name), capacity=capacity) for name in STAGE_NAMES[1:]]
    return Source(text, (proposals, *others))


def write_truth(truths: Sequence[ImageTruth], path: Path) -> Path:
    """The annotated masks as a segmenter's file (docs/proposals.md), crowds left out; returns `path`."""
    masks = {}
    for truth in truths:
        annotated = [item.mask for item in truth.objects if item.mask is not None and not item.crowd]
        masks[truth.id] = [
            {"segmentation": {"size": list(mask["size"]), "counts": mask["counts"].decode()}} for mask in annotated
        ]
    path.write_text(json.dumps(masks))
    return path
