"""Stages by name: settings, refusals, and what building one must not import."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from data.errors import InputError
from pipeline.spec import identify
from stages import STAGE_NAMES, build_stage, compute_image
from tests.stages.test_mcg import scene
from tests.test_imports import MODULES, imports


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


FINGERPRINTS = {
    ("proposals", ""): "7c8e1ac8d4b600cd",
    ("proposals", "selective-search"): "be6865017a1b18d9",
    ("iou-graph", ""): "fbf99a46698fe873",
    ("grabcut", ""): "407ffc9f22b87bf9",
}
"""Of version 0.1.0's default stages: a store that someone has must stay one that can be continued."""


@pytest.mark.parametrize(("name", "method"), FINGERPRINTS)
def test_default_stages_keep_their_identity(name: str, method: str) -> None:
    """Of parameters and version; raise a stage's VERSION and this number when its output really changes."""
    stage = build_stage(name, {"method": method} if method else {}, capacity=2000)
    upstream = dict.fromkeys(stage.upstream, "f")
    assert identify(stage, upstream).fingerprint[:16] == FINGERPRINTS[name, method]


def test_a_stage_on_one_image() -> None:
    image = scene()[0]
    rows = compute_image("proposals", image, {"mode": "fast", "contours": "gradient", "max_proposals": 32})
    with pytest.raises(InputError, match="reads 'iou_graph/neighbor': run the stages before it"):
        compute_image("grabcut", image, {}, rows)
    rows |= compute_image("iou-graph", image, {"neighbors": 4}, rows)
    rows |= compute_image("grabcut", image, {"colour_cut": {"contours": "gradient"}}, rows)
    assert rows["grabcut/mask"][: int(rows["grabcut/count"])].any((1, 2)).all()
    with pytest.raises(InputError, match="run stage 'proposals' first"):
        compute_image("iou-graph", image)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.float32), np.zeros((3, 0, 3), "B")]
)
def test_a_stage_on_what_is_no_image(image: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"image: .*must be \(height, width, 3\) uint8 RGB"):
        compute_image("proposals", image)


def test_no_stage_reaches_into_the_room_of_another() -> None:
    rooms = {"stages.proposals", "stages.iou_graph", "stages.grabcut"}
    for module, path in MODULES.items():
        if (room := ".".join(module.split(".")[:2])) in rooms | {"stages.regions", "stages.contours"}:
            reached = {".".join(name.split(".")[:2]) for name in imports(path, lazy=True)}
            assert not reached & (rooms - {room}), module


def test_the_door_is_light() -> None:
    code = "import sys, stages; print({'torch', 'numba', 'cv2', 'zarr', 'dask'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
