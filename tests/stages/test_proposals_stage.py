"""The stage `proposals`: its methods behind the same arrays, its settings and their errors."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from data.errors import InputError
from data.records import ImageRecord
from pipeline.spec import Stage, StageInput
from stages.proposals.params import LARGEST_CAPACITY
from stages.proposals.stage import proposals_stage
from stages.registry import build_stage
from tests.stages.test_mcg import scene

CHEAP = {"mode": "fast", "contours": "gradient", "max_proposals": 64}


def rows_of(stage: Stage, image: np.ndarray) -> dict[str, np.ndarray]:
    record = ImageRecord("7", "7.jpg", image.shape[:2], ())
    rows = dict(stage.compute(StageInput(record, image)))
    assert set(rows) == {spec.name for spec in stage.arrays}
    for spec in stage.arrays:
        assert rows[spec.name].shape == spec.row_shape
        assert rows[spec.name].dtype == spec.dtype
    return rows


@pytest.mark.parametrize(
    "settings", [{"method": "mcg", **CHEAP}, {"method": "selective-search", "mode": "fast", "max_proposals": 64}]
)
def test_rows_are_as_declared_and_padded_with_zeros(settings: dict) -> None:
    rows = rows_of(proposals_stage(settings), scene()[0])
    count = int(rows["proposals/count"])
    assert 1 <= count <= 64
    assert (rows["proposals/box"][:count, 2:] > rows["proposals/box"][:count, :2]).all()
    assert not rows["proposals/box"][count:].any()
    assert not rows["proposals/score"][count:].any()


def test_masks_are_an_option_of_mcg() -> None:
    rows = rows_of(proposals_stage({**CHEAP, "masks": True}), scene()[0])
    count = int(rows["proposals/count"])
    assert rows["proposals/mask"][:count].any((1, 2)).all()
    assert not rows["proposals/mask"][count:].any()
    without = rows_of(proposals_stage(CHEAP), scene()[0])
    assert (without["proposals/box"] == rows["proposals/box"]).all()
    with pytest.raises(InputError, match=r"proposals\.masks: method 'selective-search' has no region masks"):
        proposals_stage({"method": "selective-search", "masks": True})


def test_the_registry_builds_it_by_name() -> None:
    stage = build_stage("proposals", {"max_proposals": 10})
    assert stage.name == stage.group == "proposals"
    assert stage.upstream == ()
    assert stage.plain_params()["method"] == "mcg"
    assert stage.plain_params()["contours"] == "net"


def test_stages_travel_to_workers() -> None:
    stage = proposals_stage(CHEAP)
    again = pickle.loads(pickle.dumps(stage))
    image = scene()[0]
    assert (rows_of(again, image)["proposals/box"] == rows_of(stage, image)["proposals/box"]).all()


def test_packages_are_those_that_the_result_depends_on() -> None:
    for settings in ({}, {"contours": "gradient"}, {"method": "selective-search"}):
        packages = proposals_stage(settings).packages
        assert "opencv-contrib-python-headless" in packages and "torch" not in packages


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "mgc"}, r"proposals\.method: unknown method 'mgc'; did you mean 'mcg'"),
        ({"max_proposal": 5}, r"unknown key 'proposals\.max_proposal'; did you mean 'max_proposals'"),
        ({"max_proposals": 0}, r"max_proposals is 0; it must be at least 1"),
        ({"max_proposals": LARGEST_CAPACITY + 1}, r"proposals\.max_proposals"),
        ({"mode": "slow"}, r"proposals\.mode: 'slow' is not one of 'accurate', 'fast'"),
        ({"contours": "canny"}, r"proposals\.contours"),
        ({"max_upscale": 0.5}, r"max_upscale is 0\.5"),
        ({"tuples": {"singles": 0}}, r"singles is 0"),
        ({"tuples": {"pairs": -1}}, r"pairs is -1"),
        ({"method": "selective-search", "side": 0}, r"side is 0"),
        ({"method": "files"}, r"give --proposals-from"),
    ],
)
def test_wrong_settings_are_named(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        proposals_stage(settings)


def test_files_and_other_methods_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave out --proposals-from"):
        proposals_stage({"method": "mcg"}, str(tmp_path))
