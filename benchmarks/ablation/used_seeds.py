"""Which of an image's seeds training or inference really takes: a few of five hundred, so that dear ones can be
computed too."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from data.boxes import pairwise_iou
from pdsl.evaluate.predictions import Prediction, by_image
from pdsl.model.pdsl import PDSL
from store.contents import read_proposals
from store.store import Store

Used = Mapping[str, frozenset[float]]
"""By image id, the objectness scores of the proposals whose seeds were taken: what a proposal keeps through
augmentation."""


@contextmanager
def recorded(place: Path) -> Iterator[None]:
    """While it lasts, seeds that a model of this process learns from are noted, then added to those in file `place`."""
    used: dict[str, set[float]] = defaultdict(set)
    if place.exists():  # of an interrupted training
        used.update((image, set(scores)) for image, scores in read_used(place).items())
    seeds_of = PDSL._seeds

    def noting(self: PDSL, sample: Any, *labels: Any) -> Any:
        found = seeds_of(self, sample, *labels)
        if self.training:
            taken = sample.seeds.index[found[2]]
            used[sample.image_id].update(sample.proposals.score[taken].tolist())
        return found

    try:
        with mock.patch.object(PDSL, "_seeds", noting):
            yield
    finally:
        place.write_text(json.dumps({image: sorted(scores) for image, scores in used.items()}))


def note_nearest(place: Path, found: Sequence[Prediction], store: Store) -> None:
    """Note in file `place` the proposals nearest to detections, whose seeds are blended with their masks."""
    used = {}
    for image, predictions in by_image(found).items():
        proposals = read_proposals(store, int(store.rows([image])[0]))
        overlap = pairwise_iou(np.stack([prediction.box for prediction in predictions]), proposals.box)
        used[image] = sorted(set(proposals.score[overlap.argmax(1)].tolist()))
    place.write_text(json.dumps(used))


def read_used(place: Path) -> Used:
    """What `recorded` or `note_nearest` wrote."""
    return {image: frozenset(scores) for image, scores in json.loads(place.read_text()).items()}
