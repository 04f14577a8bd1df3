"""benchmarks/cues: objects judged by hand, groups and tables, and sources of every kind on a few scenes."""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cues import __main__ as program
from benchmarks.cues.breakdown import boxes_table, distributions_table, groups, groups_table, recalls
from benchmarks.cues.judging import NUMBERS, ObjectScore, judge_objects, judge_seeds
from benchmarks.cues.sources import open_source, write_truth
from benchmarks.cues.targets import Case, choose_case, target_iou
from data.catalog import load_images
from data.decode import decode_record
from data.errors import InputError
from data.masks import pack, tight_box
from data.rle import encode
from data.scenes import write_scenes
from data.truth import ImageTruth, TruthObject
from data.truth_reader import load_truth
from store import contents

SIZE = (40, 60)


def painted(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    """A mask of one rectangle."""
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def truth_of(*masks: np.ndarray) -> ImageTruth:
    objects = tuple(TruthObject(0, tight_box(mask).astype(float), encode(mask)) for mask in masks)
    return ImageTruth("a", SIZE, objects, has_masks=True)


def rows(box: np.ndarray, seeds: list[int], mask: np.ndarray) -> Mapping[str, np.ndarray]:
    """Arrays of an image as the stages give them, without padding."""
    return {
        contents.PROPOSAL_BOX: box,
        contents.PROPOSAL_COUNT: np.int32(len(box)),
        contents.SEED_INDEX: np.array(seeds, np.uint16),
        contents.SEED_MASK: pack(mask),
        contents.SEED_COUNT: np.int32(len(seeds)),
    }


def test_a_seed_is_judged_by_the_object_that_its_box_overlaps_most() -> None:
    boxes = np.array([[10, 10, 30, 30], [10, 10, 30, 40], [40, 20, 60, 40]], np.float32)
    masks = np.ones((3, 56, 56), bool)
    masks[1, 28:] = False
    found = judge_seeds(boxes, masks, truth_of(painted(40, 0, 60, 8), painted(10, 10, 30, 30)))
    assert [seed for seed, _, _ in found] == [0, 1]  # the third box has no object
    np.testing.assert_allclose([iou for _, iou, _ in found], [1, 0.75])
    assert [size for _, _, size in found] == [400, 400]


def test_objects_by_hand() -> None:
    """The better box comes after the first hundred and has half a mask; the seed of the worse box is whole."""
    far = np.tile(np.array([[50, 30, 60, 40]], np.float32), (120, 1))
    box = np.concatenate([np.array([[10, 10, 30, 34]], np.float32), far, np.array([[10, 10, 30, 32]], np.float32)])
    mask = np.ones((2, 56, 56), bool)
    mask[1, 28:] = False
    square, other = judge_objects(
        rows(box, [0, len(box) - 1], mask), truth_of(painted(10, 10, 30, 30), painted(0, 0, 6, 6)), 7
    )
    np.testing.assert_allclose(square.box, [20 / 22, 20 / 22, 20 / 22, 20 / 24])
    assert NUMBERS == (2000, 1000, 500, 100)
    assert square.mask == pytest.approx(20 / 24)
    assert square.seed == pytest.approx(11 / 20)
    assert (square.image, square.place, square.area, square.objects) == (7, 0, 400, 2)
    assert square.largest == pytest.approx(400 / 2400)
    assert 0.4 < square.target < 0.9
    assert other.box == (0, 0, 0, 0) and other.mask == 0 and np.isnan([other.seed, other.target]).all()


def test_an_image_without_proposals_has_found_nothing() -> None:
    (score,) = judge_objects(
        rows(np.zeros((0, 4), np.float32), [], np.zeros((0, 56, 56), bool)), truth_of(painted(1, 1, 9, 9)), 0
    )
    assert score.box == (0, 0, 0, 0) and score.mask == 0 and np.isnan([score.seed, score.target]).all()


def test_targets_by_hand() -> None:
    """Of two seeds the one nearest to the top box is taken while n^seed is 1, and each frame's nearest for 2."""
    left, right = [0.0, 0, 28, 28], [7.0, 0, 35, 28]
    truth = np.ones((2, 28, 28), bool)
    case = Case(np.array(left, np.float32), np.array([left, right], np.float32), truth)
    mask = np.ones((2, 56, 56), bool)
    mask[0, 28:] = False
    seeds = np.array([left, right], np.float32)
    assert target_iou(case, seeds, mask, 1) == pytest.approx((0.5 + 0.5 * 0.75) / 2)
    assert target_iou(case, seeds, mask, 2) == pytest.approx((0.5 + 1) / 2)
    assert target_iou(case, seeds, mask, None) == pytest.approx((0.5 + 1) / 2)


def test_a_top_box_is_near_its_object() -> None:
    full, rng = painted(10, 10, 30, 30), np.random.default_rng(0)
    box = np.array([[10, 10, 30, 34], [10, 10, 30, 33], [0, 0, 60, 40]], np.float32)
    case = choose_case(full, tight_box(full), box, rng)
    assert case is not None and case.foreground.tolist() != [] and case.truth.shape == (2, 28, 28)
    assert case.top.tolist() in box[:2].tolist()
    assert choose_case(full, tight_box(full), box[2:], rng) is None


def score(area: float, box: float = 0.6, **changes: float) -> ObjectScore:
    values = {"objects": 1, "largest": 0.2, "mask": 0.5, "seed": 0.5, "target": 0.5} | changes
    return ObjectScore(image=0, place=0, area=area, box=(box,) * 4, **values)


def test_groups_are_cocos_sizes_and_kinds_of_images() -> None:
    scores = [score(1023), score(1024, objects=3), score(9216, objects=8, largest=0.3)]
    found = {name: list(mine) for name, mine in groups(scores)}
    assert [found[size] for size in "SML"] == [[scores[0]], [scores[1]], [scores[2]]]
    assert found["1 or 2 objects"] == scores[:1] and found["8 and more"] == found["> 30 %"] == scores[2:]
    assert found["all"] == scores and "largest < 10 %" not in found


def test_recall_counts_what_lies_above() -> None:
    assert recalls(np.array([0.5, 0.6, 0.71, 0.9])) == "0.750 / 0.500 / 0.250"


def test_means_are_of_what_is_known() -> None:
    found = {"a": [score(1), score(1, 0.1, mask=0.1, seed=np.nan, target=np.nan)]}
    _, _, everything, *_ = groups_table(found)
    assert everything.split(" | ")[1:3] == ["all", "2"]
    assert everything.endswith("| 0.300 | 0.500 | 0.500 | 0.50 |")
    assert list(boxes_table(found))[-1].count("0.500 / 0.000 / 0.000") == 4
    lines = list(distributions_table(found))[2:]
    assert [line.split(" | ")[2] for line in lines] == ["0.125", "0.500", "0.500"]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder / "VOC2007", train=1, val=3, side=64, seed=1)
    return f"voc:{folder / 'VOC2007'}"


def judged(spec: str, text: str, folder: Path) -> list[ObjectScore]:
    listed, truths = load_images(spec, "val"), load_truth(spec, "val")
    source = open_source(text, truths, folder)
    return [
        score
        for row, record in enumerate(listed.records)
        for score in judge_objects(source.rows(record, decode_record(record, exif=listed.exif))[0], truths[row], row)
    ]


def test_the_annotations_themselves_are_the_upper_bound(spec: str, tmp_path: Path) -> None:
    """What a user's file of perfect masks would get, as the same reader reads it."""
    best = judged(spec, "truth", tmp_path)
    assert best and min(score.box[-1] for score in best) > 0.85
    assert min(score.seed for score in best) > 0.9 and min(score.target for score in best) > 0.85
    path = write_truth(load_truth(spec, "val"), tmp_path / "masks.json")
    assert judged(spec, str(path), tmp_path) == best
    cut = judged(spec, f"{path},grabcut.method=colour-cut", tmp_path)
    assert [score.box for score in cut] == [score.box for score in best]
    assert [score.seed for score in cut] != [score.seed for score in best]


def test_sources_that_are_none(spec: str, tmp_path: Path) -> None:
    for text, said in (
        ("nowhere", "nowhere: no such folder"),
        ("proposals.mood=fast", "mood"),
        ("mode=fast", "STAGE.PARAMETER"),
        ("default,fast", "key=value"),
    ):
        with pytest.raises(InputError, match=said):
            open_source(text, load_truth(spec, "val"), tmp_path)


def test_one_table_of_ours_and_theirs(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    truths = load_truth(spec, "val")
    masks = write_truth(truths[1:], tmp_path / "masks.json")  # of all images but one
    monkeypatch.setattr(
        sys,
        "argv",
        ["cues", spec, "val", "proposals.max_proposals=50", str(masks), "--figure", str(tmp_path / "f.svg")],
    )
    program.main()
    said = capsys.readouterr().out
    assert "images without proposals: 1" in said
    for name in ("proposals.max_proposals=50", str(masks)):
        assert f"| {name} | all |" in said and f"| {name} | nearest seed |" in said
    assert (tmp_path / "f.svg").stat().st_size > 1000


def test_a_source_that_is_none_is_said_in_a_line(
    spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["cues", spec, "val", "nowhere.json"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 2 and "nowhere.json: no such folder or file" in capsys.readouterr().err
