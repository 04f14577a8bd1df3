"""Published proposals: hand-made files of each kind, and files that must be refused."""

import io
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import fsspec
import numpy as np
import pytest
import scipy.io

from data.errors import InputError
from pipeline.spec import ImageFailure
from stages.proposals.files import ProposalFiles
from stages.proposals.stage import proposals_stage

SIZE = (40, 60)
MCG = np.array([[1, 1, 40, 60], [11, 21, 30, 50], [5, 6, 5, 6]], np.float64)  # y1, x1, y2, x2, 1-based inclusive
BOXES = [[0, 0, 60, 40], [20, 10, 50, 30], [5, 4, 6, 5]]
SCORES = np.array([-0.5, 0.25, -0.5])
SORTED = [BOXES[1], BOXES[0], BOXES[2]]


def write_mat(path: Path, content: dict[str, Any] | None = None, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, content or {"boxes": MCG, "scores": SCORES[:, None]}, **options)


def write_pickle(path: Path, **changes: Any) -> ProposalFiles:
    content = {"boxes": [np.array(BOXES, np.float32)], "objectness_logits": [SCORES], "ids": [139]} | changes
    path.write_bytes(pickle.dumps({key: value for key, value in content.items() if value is not None}))
    return ProposalFiles(str(path))


@pytest.mark.parametrize("form", ["4", "5"])
def test_boxes_become_half_open_and_are_sorted_stably(tmp_path: Path, form: str) -> None:
    write_mat(tmp_path / "2007_000032.mat", format=form)
    boxes, scores = ProposalFiles(str(tmp_path)).lookup("2007_000032", SIZE)
    assert boxes.tolist() == SORTED
    assert scores.tolist() == [0.25, -0.5, -0.5]
    assert boxes.dtype == scores.dtype == np.float32


@pytest.mark.parametrize(
    "content",
    [
        {"proposals": {"bboxes": MCG.astype(np.uint16), "bboxes_scores": SCORES, "superpixels": np.ones((4, 4))}},
        {"bboxes": MCG.astype(np.uint16), "bboxes_scores": SCORES.astype(np.float32)},
    ],
)
def test_full_mcg_results(tmp_path: Path, content: dict[str, Any]) -> None:
    write_mat(tmp_path / "a.mat", content)
    assert ProposalFiles(str(tmp_path)).lookup("a", SIZE)[0].tolist() == SORTED


def test_without_scores_the_order_is_the_ranking(tmp_path: Path) -> None:
    write_mat(tmp_path / "a.mat", {"boxes": MCG})
    boxes, scores = ProposalFiles(str(tmp_path / "a.mat")).lookup("a", SIZE)
    assert boxes.tolist() == BOXES
    assert (np.diff(scores) < 0).all()


def test_upper_case_suffixes(tmp_path: Path) -> None:
    write_mat(tmp_path / "a.mat")
    (tmp_path / "a.mat").rename(tmp_path / "000012.MAT")
    for place in (tmp_path, tmp_path / "000012.MAT"):
        assert ProposalFiles(str(place)).lookup("000012", SIZE)[0].tolist() == SORTED


def test_a_single_box(tmp_path: Path) -> None:
    write_mat(tmp_path / "a.mat", {"boxes": MCG[:1], "scores": 0.5})
    assert ProposalFiles(str(tmp_path)).lookup("a", SIZE)[0].tolist() == BOXES[:1]


@pytest.mark.parametrize(
    ("file", "image_id"),
    [
        ("COCO_train2014_000000000009.mat", "9"),
        ("COCO_train2014_0000000/COCO_train2014_000000000009.mat", "9"),
        ("COCO_train2014/COCO_train2014_000000000009.mat", "9"),
        ("000000000009.mat", "9"),
        ("000012.mat", "000012"),
        ("x/y/2007_000032.mat", "2007_000032"),
    ],
)
def test_names_and_sub_folders(tmp_path: Path, file: str, image_id: str) -> None:
    write_mat(tmp_path / file)
    files = pickle.loads(pickle.dumps(ProposalFiles(str(tmp_path))))
    assert files.lookup(image_id, SIZE)[0].tolist() == SORTED
    with pytest.raises(ImageFailure, match=r"^not in file$"):
        files.lookup("99", SIZE)


def test_an_object_store(tmp_path: Path) -> None:
    write_mat(tmp_path / "a.mat")
    fsspec.filesystem("memory").put(str(tmp_path), "/bucket/mcg", recursive=True)
    assert ProposalFiles("memory://bucket/mcg").lookup("a", SIZE)[0].tolist() == SORTED


def test_pickle_with_its_variants(tmp_path: Path) -> None:
    path = tmp_path / "p.pkl"
    for changes in ({}, {"objectness_logits": None, "scores": [SCORES]}, {"ids": None, "indexes": [139]}):
        assert write_pickle(path, **changes).lookup("139", SIZE)[0].tolist() == SORTED
    xywh = np.array([[20, 10, 30, 20]], np.int64)
    files = write_pickle(path, boxes=[xywh], objectness_logits=[[1.0]], bbox_mode=1)
    assert files.lookup("139", SIZE)[0].tolist() == [BOXES[1]]
    with pytest.raises(ImageFailure, match=r"^not in file$"):
        files.lookup("140", SIZE)


def test_pickle_without_scores_keeps_its_order(tmp_path: Path) -> None:
    boxes, scores = write_pickle(tmp_path / "p.pkl", objectness_logits=None).lookup("139", SIZE)
    assert boxes.tolist() == BOXES and (np.diff(scores) < 0).all()


def test_names_that_several_entries_could_mean_are_nobodys(tmp_path: Path) -> None:
    twice = {"boxes": [np.array(BOXES)] * 2, "objectness_logits": [SCORES] * 2}
    files = write_pickle(tmp_path / "p.pkl", ids=["dog/1.jpg", "cat/1.jpg"], **twice)
    assert files.lookup("dog/1", SIZE)[0].tolist() == SORTED
    lacking, names = files.missing(["dog/1", "cat/1", "1"])
    assert lacking == ["1"] and names[:2] == ["dog/1.jpg", "cat/1.jpg"]


@pytest.mark.parametrize(
    ("stored", "image_id"),
    [
        ("2007_000032", "2007_000032"),
        (2007000032, "2007_000032"),
        (5, "000005"),
        ("000005.jpg", "000005"),
        ("JPEGImages/000005.jpg", "000005"),
        ("train2014\\COCO_train2014_000000000009.jpg", "9"),
        (np.array([5]), "000005"),
        (np.int64(5), "5"),
    ],
)
def test_pickle_ids_of_voc(tmp_path: Path, stored: Any, image_id: str) -> None:
    assert write_pickle(tmp_path / "p.pkl", ids=[stored]).lookup(image_id, SIZE)[0].tolist() == SORTED


def test_box_mode_of_detectron2_needs_no_detectron2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from enum import IntEnum

    mode = IntEnum("BoxMode", {"XYXY_ABS": 0}, module="detectron2.structures.boxes")
    module = ModuleType("detectron2.structures.boxes")
    module.BoxMode = mode  # type: ignore[attr-defined]
    for name in ("detectron2", "detectron2.structures"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    content = {"boxes": [np.array(BOXES)], "scores": [SCORES], "ids": ["a"], "bbox_mode": mode.XYXY_ABS}
    written = [pickle.dumps(content)]
    mode.__reduce_ex__ = lambda self, protocol: (getattr, (mode, self.name))  # type: ignore[method-assign,assignment,misc]
    written.append(pickle.dumps(content))  # as the first releases of Python 3.11 write it
    assert written[0] != written[1] or sys.version_info < (3, 11, 4)
    monkeypatch.delitem(sys.modules, module.__name__)
    for number, content_of_file in enumerate(written):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(content_of_file)
        assert ProposalFiles(str(path)).lookup("a", SIZE)[0].tolist() == SORTED


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("owned"),)


def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for content in (Malicious(), {"boxes": [Malicious()], "scores": [[1]], "ids": [1]}):
        (tmp_path / "p.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match=r"p\.pkl: refused.*only plain values and numpy arrays"):
            ProposalFiles("p.pkl")
    assert not (tmp_path / "owned").exists()


def test_a_relative_path_holds_for_workers_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mat(tmp_path / "mcg" / "a.mat")
    monkeypatch.chdir(tmp_path)
    files = ProposalFiles("mcg")
    monkeypatch.chdir("/")
    assert files.lookup("a", SIZE)[0].tolist() == SORTED


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": None}, "no 'boxes'"),
        ({"ids": [1, 2]}, "1 boxes, 1 scores, 2 ids"),
        ({"bbox_mode": 4}, "bbox_mode 4 is not supported"),
        ({"objectness_logits": [SCORES[:2]]}, "image 139: boxes"),
        ({"boxes": [["x"]]}, "image 139: boxes or scores are not numbers"),
        ({"boxes": [MCG] * 2, "objectness_logits": [SCORES] * 2, "ids": [1, 1]}, "image 1 occurs twice"),
    ],
)
def test_bad_pickles(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_pickle(tmp_path / "p.pkl", **changes)


def test_things_that_are_no_proposals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder or file"):
        ProposalFiles(str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"no \.mat file in it"):
        ProposalFiles(str(tmp_path))
    (tmp_path / "a.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(InputError, match=r"a\.mat: MATLAB 7\.3"):
        ProposalFiles(str(tmp_path))
    (tmp_path / "a.mat").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"a\.mat: not a readable"):
        ProposalFiles(str(tmp_path))
    write_mat(tmp_path / "a.mat", {"labels": [1]})
    with pytest.raises(InputError, match="holds labels, not boxes"):
        ProposalFiles(str(tmp_path))
    write_mat(tmp_path / "a.mat")
    write_mat(tmp_path / "sub" / "a.mat")
    with pytest.raises(InputError, match=r"a is the same image as sub/a \('a'\); keep one of them"):
        ProposalFiles(str(tmp_path)).missing(["a"])
    write_mat(tmp_path / "sub" / "a.MAT")
    with pytest.raises(InputError, match=r"sub/a.mat: the same image as .*sub/a.MAT; keep one"):
        ProposalFiles(str(tmp_path))
    (tmp_path / "p.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(InputError, match="holds a list"):
        ProposalFiles(str(tmp_path / "p.pkl"))
    (tmp_path / "p.pkl").write_bytes(b"\x80nonsense")
    with pytest.raises(InputError, match="refused"):
        ProposalFiles(str(tmp_path / "p.pkl"))


def _random_boxes(count: int) -> np.ndarray:
    corners = np.random.default_rng(0).uniform(0, 1, (count, 2, 2)) * [640, 480]
    return np.concatenate([corners.min(1), corners.max(1) + 1], 1).round()


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda b: b[:, [1, 0, 3, 2]], "rows and columns are probably in the other order"),
        (lambda b: np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], 1), "probably x, y, width, height"),
        (lambda b: b * 2, "another image or size"),
        (lambda b: np.concatenate([b[:, :2], b[:, :2]], 1), "probably 1-based and inclusive"),
    ],
)
def test_boxes_that_do_not_fit_their_image_are_refused_with_the_likely_cause(
    tmp_path: Path, change: Any, cause: str
) -> None:
    boxes = change(_random_boxes(200))
    files = write_pickle(tmp_path / "p.pkl", boxes=[boxes], objectness_logits=[np.ones(200)])
    with pytest.raises(ImageFailure, match=cause):
        files.lookup("139", (481, 641))


def test_swapped_columns_of_a_mat_are_refused(tmp_path: Path) -> None:
    write_mat(tmp_path / "a.mat", {"boxes": _random_boxes(100) + 1, "scores": np.ones(100)})  # x1, y1, x2, y2
    with pytest.raises(ImageFailure, match=r"\d+% of the boxes lie outside the image.*other order"):
        ProposalFiles(str(tmp_path)).lookup("a", (481, 641))


def test_a_few_strays_are_clipped_or_dropped(tmp_path: Path) -> None:
    boxes = np.concatenate([_random_boxes(60), [[-9, -9, 30, 30], [700, 5, 800, 9], [np.nan, 0, 1, 1]]])
    files = write_pickle(tmp_path / "p.pkl", boxes=[boxes], objectness_logits=[np.ones(63)])
    found, scores = files.lookup("139", (481, 641))
    assert len(found) == len(scores) == 61
    assert found[-1].tolist() == [0, 0, 30, 30]


def test_no_boxes_and_unknown_size(tmp_path: Path) -> None:
    files = write_pickle(tmp_path / "p.pkl", boxes=[np.zeros((0, 4))], objectness_logits=[[]])
    with pytest.raises(ImageFailure, match="no boxes"):
        files.lookup("139", SIZE)
    with pytest.raises(ImageFailure, match="size is unknown"):
        files.lookup("139", (0, 0))


def test_fingerprint_follows_the_content_and_a_changed_file_is_read_again(tmp_path: Path) -> None:
    first = write_pickle(tmp_path / "p.pkl")
    assert first.lookup("139", SIZE)[0].tolist() == SORTED
    second = write_pickle(tmp_path / "p.pkl", boxes=[np.array(BOXES)[::-1]])
    assert second.lookup("139", SIZE)[0].tolist() == [BOXES[1], BOXES[2], BOXES[0]]
    assert first.fingerprint != second.fingerprint
    write_mat(tmp_path / "m" / "a.mat")
    mats = [ProposalFiles(str(tmp_path / "m")).fingerprint]
    write_mat(tmp_path / "m" / "b.mat")
    mats.append(ProposalFiles(str(tmp_path / "m")).fingerprint)
    assert len(set(mats)) == 2


def test_the_stage_travels_light(tmp_path: Path) -> None:
    write_pickle(tmp_path / "p.pkl", boxes=[_random_boxes(5000)], objectness_logits=[np.ones(5000)])
    stage = proposals_stage({"method": "files", "max_proposals": 10}, str(tmp_path / "p.pkl"))
    buffer = io.BytesIO()
    pickle.dump(stage, buffer)
    assert buffer.tell() < 5000
    assert stage.source == ProposalFiles(str(tmp_path / "p.pkl")).fingerprint


def test_files_of_one_name_are_told_apart_by_the_folders_in_the_ids(tmp_path: Path) -> None:
    """As in a plain folder with sub-folders; where the ids have no folders, nobody can say which is meant."""
    for place, name in enumerate(("a/1", "b/1", "b/2")):
        write_mat(tmp_path / f"{name}.mat", {"boxes": [[1, 1, 10, 10 + place]]})
    files = ProposalFiles(str(tmp_path))
    found = {name: files.lookup(name, (50, 50))[0][0, 2] for name in ("a/1", "b/1", "b/2", "2")}
    assert found == {"a/1": 10, "b/1": 11, "b/2": 12, "2": 12}
    assert files.missing(["a/1", "b/1", "2", "c"])[0] == ["c"]
    with pytest.raises(InputError, match=r"a/1 is the same image as b/1 \('1'\); keep one of them"):
        files.missing(["2", "1"])
