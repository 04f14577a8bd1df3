"""Stages by name: settings, refusals, and what building one must not import."""

import json
import pickle
import subprocess
import sys

import pytest

from data.errors import InputError
from stages.registry import STAGE_NAMES, build_stage


@pytest.mark.parametrize("name", STAGE_NAMES)
def test_every_stage_can_be_built_and_sent_to_a_worker(name: str) -> None:
    stage = build_stage(name, capacity=20)
    copy = pickle.loads(pickle.dumps(stage))
    assert copy.name == name
    assert copy.plain_params() == stage.plain_params()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("proposals", {"method": "mcg", "max_proposals": 20, "masks": True, "contours": "gradient"}),
        ("proposals", {"method": "selective_search", "mode": "fast", "side": 90}),
        ("iou-graph", {"neighbors": 3}),
        ("grabcut", {"method": "opencv", "seeds": "all", "opencv": {"iterations": 2}}),
        ("grabcut", {"colour_cut": {"bias": -0.5}, "capacity": 7}),
    ],
)
def test_stored_parameters_are_settings_of_the_same_stage(name: str, settings: dict[str, object]) -> None:
    stage = build_stage(name, settings, capacity=20)
    again = build_stage(name, json.loads(json.dumps(stage.plain_params())), capacity=20)
    assert again == stage and again.plain_params() == stage.plain_params()


def test_underscores_are_as_good_as_hyphens() -> None:
    assert build_stage("iou_graph", {"neighbors": 3}, capacity=5).arrays[0].row_shape == (5, 3)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("grab-cut", {}, "did you mean 'grabcut'"),
        ("iou-graph", {"neighbours": 4}, "did you mean 'neighbors'"),
        ("iou-graph", {"neighbors": "many"}, "iou-graph.neighbors"),
        ("iou-graph", {"neighbors": 0}, "at least 1"),
        ("grabcut", {"metod": "opencv"}, "did you mean 'method'"),
        ("grabcut", {"method": "watershed"}, "'opencv'"),
        ("grabcut", {"colour_cut": {"wrods": 3}}, "did you mean 'words'"),
        ("grabcut", {"colour_cut": {"words": 300}}, "words is 300"),
        ("grabcut", {"colour_cut": {"fit": -1}}, "fit is -1"),
        ("grabcut", {"opencv": {"iterations": 0}}, "iterations is 0"),
        ("grabcut", {"cover_iou": 0}, "cover_iou is 0"),
        ("grabcut", {"capacity": 0}, "capacity is 0"),
    ],
)
def test_bad_settings_are_named(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_stage(name, settings, capacity=10)


def test_capacity_must_be_known_and_fit_the_index() -> None:
    with pytest.raises(InputError, match="run stage 'proposals' first"):
        build_stage("grabcut")
    with pytest.raises(InputError, match="uint16"):
        build_stage("iou-graph", capacity=70_000)


def test_capacity_of_seeds() -> None:
    def capacity(proposals: int, **settings: object) -> int:
        return build_stage("grabcut", settings, capacity=proposals).arrays[0].row_shape[0]

    assert capacity(100) == 100
    assert capacity(2000) < 2000
    assert capacity(2000, seeds="all") == 2000
    assert capacity(2000, capacity=64) == 64


def test_building_a_stage_loads_neither_numba_nor_opencv() -> None:
    code = (
        "import sys; from stages.registry import build_stage; "
        "build_stage('iou-graph', capacity=9); build_stage('grabcut', capacity=9); "
        "print([m for m in ('numba', 'cv2', 'torch', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
