"""Proposals from a store of this program."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from benchmarks.engine.toy import image_list
from data.errors import InputError
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from pipeline.spec import ArraySpec, ImageFailure, Stage, StageInput
from stages.proposals.stage import proposals_stage
from stages.proposals.stored import StoredProposals
from store.create import create_or_open


def compute(given: StageInput) -> dict[str, np.ndarray]:
    """Two boxes of four rows; the image with id im00002 fails."""
    if given.record.id == "im00002":
        raise ImageFailure("told to fail")
    box = np.zeros((4, 4), np.float32)
    box[:2] = [[0, 0, 5, 5], [1, 1, 4, 4]]
    score = np.array([2, 1, 0, 0], np.float32)
    return {"proposals/box": box, "proposals/score": score, "proposals/count": np.array(2, np.int32)}


@pytest.fixture
def store(tmp_path: Path) -> str:
    arrays = (
        ArraySpec("proposals/box", (4, 4), "float32"),
        ArraySpec("proposals/score", (4,), "float32"),
        ArraySpec("proposals/count", (), "int32"),
    )
    images = image_list(4)
    stage = Stage("proposals", 1, proposals_stage({}).params, arrays, compute, needs_image=False)
    url = str(tmp_path / "a.zarr")
    run_stage(create_or_open(url, images), images, stage, SerialExecutor())
    return url


def test_lookup_gives_the_valid_rows(store: str) -> None:
    proposals = pickle.loads(pickle.dumps(StoredProposals(store)))
    boxes, scores = proposals.lookup("im00001", (11, 20))
    assert boxes.tolist() == [[0, 0, 5, 5], [1, 1, 4, 4]]
    assert scores.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("image_id", "size", "message"),
    [
        ("other", (10, 20), "not in file"),
        ("im00002", (12, 20), "failed in"),
        ("im00001", (9, 9), "is 11 x 20 in .* 9 x 9 here"),
    ],
)
def test_what_is_not_there_fails_with_its_reason(
    store: str, image_id: str, size: tuple[int, int], message: str
) -> None:
    with pytest.raises(ImageFailure, match=message):
        StoredProposals(store).lookup(image_id, size)


def test_the_stage_takes_a_store_where_files_are_named(store: str) -> None:
    stage = proposals_stage({"max_proposals": 3}, store)
    assert stage.source == StoredProposals(store).fingerprint()
    rows = stage.compute(StageInput(image_list(2).records[1], None))
    assert int(rows["proposals/count"]) == 2


def test_a_store_without_proposals_is_refused(tmp_path: Path) -> None:
    create_or_open(str(tmp_path / "b.zarr"), image_list(2))
    with pytest.raises(InputError, match="not computed"):
        StoredProposals(str(tmp_path / "b.zarr"))
