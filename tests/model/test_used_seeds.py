"""The ablation's dear seeds: which of an image's seeds a training takes, and GrabCut for those alone."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.ablation import used_seeds
from benchmarks.ablation.stand_ins import FewSeeds
from benchmarks.ablation.used_seeds import note_nearest, read_used, recorded
from data.parameters import replace
from data.records import ImageRecord
from pdsl.evaluate.predictions import Prediction
from pdsl.model.build import build_model
from pdsl.model.pdsl import PDSL
from pipeline.spec import StageInput
from stages.grabcut.parameters import GrabcutParams
from stages.grabcut.stage import seed_masks
from store import contents
from tests.model.scenes import N_CLASSES, random_sample, small_config


def test_what_is_noted_are_the_seeds_chosen_in_training(tmp_path: Path) -> None:
    place, sample = tmp_path / "used.json", random_sample()
    model = build_model(replace(small_config(), {"mask": {"n_m": 0, "n_seed": 1}}), N_CLASSES)
    before = PDSL._seeds
    with recorded(place):
        model.eval().pseudo_ground_truth(sample)
        assert not json.loads(place.read_text() if place.exists() else "{}")
        model.train().losses([sample], [None])
    assert PDSL._seeds is before
    (noted,) = read_used(place).values()
    scores = sample.proposals.score[sample.seeds.index].tolist()
    assert 0 < len(noted) <= int(sample.label.sum()) and noted <= set(scores)
    with recorded(place):  # of an interrupted training: what was noted stays
        pass
    assert read_used(place) == {sample.image_id: noted}


def test_nearest_proposals_of_detections_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = np.array([[0, 0, 10, 10], [0, 0, 20, 20], [30, 30, 40, 40]], np.float32)
    given = {
        7: contents.Proposals(box, np.array([0.75, 0.5, 0.25], np.float32)),
        9: contents.Proposals(box, np.array([0.875, 0.625, 0.375], np.float32)),
    }
    monkeypatch.setattr(used_seeds, "read_proposals", lambda store, row: given[row])
    store: Any = SimpleNamespace(rows=lambda ids: np.array([{"a": 7, "b": 9}[image] for image in ids]))
    found = [
        Prediction("a", 0, 0.5, np.array([1, 1, 10, 10.0])),
        Prediction("b", 1, 0.4, np.array([31, 30, 40, 40.0])),
        Prediction("a", 2, 0.3, np.array([0, 0, 18, 18.0])),
        Prediction("a", 1, 0.2, np.array([0, 0, 9, 10.0])),
    ]
    note_nearest(tmp_path / "used.json", found, store)
    assert read_used(tmp_path / "used.json") == {"a": frozenset({0.75, 0.5}), "b": frozenset({0.375})}


def test_masks_are_computed_for_used_seeds_alone() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, 3), np.uint8)
    low = rng.integers(0, 20, (6, 2))
    box = np.concatenate([low, low + rng.integers(8, 20, (6, 2))], 1).astype(np.float32)
    score = np.linspace(0.9, 0.1, 8, dtype=np.float32)
    arrays = {contents.PROPOSAL_COUNT: np.int32(6), contents.PROPOSAL_SCORE: score}
    arrays[contents.PROPOSAL_BOX] = np.concatenate([box, np.zeros((2, 4), np.float32)])
    params = GrabcutParams(method="opencv")
    record = ImageRecord("a", "a.jpg", (40, 50), ())
    stage = FewSeeds(params, {"a": frozenset(score[[1, 4, 7]].tolist())}, 8)
    rows = stage(StageInput(record, image, arrays))
    assert int(rows[contents.SEED_COUNT]) == 2 and rows[contents.SEED_INDEX][:2].tolist() == [1, 4]
    expected = seed_masks(image, box, params).packed[[1, 4]]
    np.testing.assert_array_equal(rows[contents.SEED_MASK][:2], expected)
    assert not rows[contents.SEED_MASK][2:].any()
    other = FewSeeds(params, {}, 8)(StageInput(record, image, arrays))
    assert int(other[contents.SEED_COUNT]) == 0
