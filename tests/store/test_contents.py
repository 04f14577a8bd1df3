"""Reading an image's proposals, graph and seeds."""

import numpy as np
import pytest

from benchmarks.engine.toy import NoParams
from data.records import ImageList, ImageRecord
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from pipeline.spec import ImageFailure, Stage, StageInput
from stages.registry import build_stage
from store import contents
from store.create import create_or_open
from store.errors import IncompleteStoreError
from store.store import Store, open_store

BOXES = np.array([[0, 0, 9, 9], [0, 0, 9, 8], [20, 20, 30, 30]], np.float32)


def _proposals(given: StageInput) -> dict[str, np.ndarray]:
    """Three proposals of P = 5; image "b" fails."""
    if given.record.id == "b":
        raise ImageFailure("no luck")
    rows = {spec.name: spec.row() for spec in build_stage("proposals", {"max_proposals": 5}).arrays}
    rows[contents.PROPOSAL_BOX][:3] = BOXES
    rows[contents.PROPOSAL_SCORE][:3] = [3, 2, 1]
    rows[contents.PROPOSAL_COUNT] = np.array(3, np.int32)
    return rows


@pytest.fixture
def store(url: str) -> Store:
    """Images a (done), b (failed) with proposals and graph."""
    records = tuple(ImageRecord(name, f"/nowhere/{name}.jpg", (40, 40), (0,)) for name in "ab")
    images = ImageList("voc:x", "train", ("cat",), (1,), records)
    made = create_or_open(url, images, shard=2)
    arrays = build_stage("proposals", {"max_proposals": 5}).arrays
    run_stage(made, images, Stage("proposals", 1, NoParams(), arrays, _proposals, needs_image=False), SerialExecutor())
    run_stage(made, images, build_stage("iou-graph", {"neighbors": 2}, capacity=5), SerialExecutor())
    return open_store(url)


def test_rows_are_cut_to_what_is_valid(store: Store) -> None:
    found = contents.read_proposals(store, 0)
    assert found.box.tolist() == BOXES.tolist() and found.score.tolist() == [3, 2, 1]
    graph = contents.read_graph(store, 0)
    assert graph.neighbor.tolist() == [[0, 1], [1, 0], [2, 0]] and graph.degree.tolist() == [2, 2, 1]
    assert contents.read_proposals(store, 0, count=1).box.tolist() == BOXES[:1].tolist()


def test_a_failed_image_has_no_rows(store: Store) -> None:
    assert len(contents.read_proposals(store, 1).box) == 0
    assert len(contents.read_graph(store, 1).neighbor) == 0


def test_is_done_asks_one_shard_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "status", None)  # the scan of all records
    assert contents.is_done(store, contents.PROPOSALS, 0) and not contents.is_done(store, contents.PROPOSALS, 1)
    assert contents.is_done(store, contents.IOU_GRAPH, 0) and not contents.is_done(store, contents.GRABCUT, 0)


def test_what_was_never_computed_is_refused(store: Store) -> None:
    with pytest.raises(IncompleteStoreError, match="grabcut"):
        contents.read_seeds(store, 0)
