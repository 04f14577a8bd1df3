"""VOC's text results: read and written, with the devkit's pixels, and refused by file and line."""

import re
from pathlib import Path

import pytest

from commands import evaluate
from data.errors import InputError
from data.scenes import write_scenes
from pdsl.evaluate.results import read_results
from pdsl.evaluate.voc_results import write_voc_results
from tests.evaluate.makers import detection, image_list

IMAGES = image_list(["000012", "2007_000032", "my dog"], ("cat", "big_cat"), (1, 2))


def test_boxes_are_one_based_and_inclusive(tmp_path: Path) -> None:
    (tmp_path / "comp4_det_val_cat.txt").write_text("\ufeff000012 0.25 1 1 10.5 20\n\nmy dog 1e-05 11 21 30 40\n")
    (tmp_path / "comp4_det_val_big_cat.txt").write_text("2007_000032 -3 5 5 5 5\r\n")
    (tmp_path / "notes.txt").write_text("of mine")
    found = {(p.image_id, p.class_id, p.score, tuple(p.box)) for p in read_results(tmp_path, IMAGES)}
    assert found == {
        ("000012", 0, 0.25, (0, 0, 10.5, 20)),
        ("my dog", 0, 1e-5, (10, 20, 30, 40)),
        ("2007_000032", 1, -3, (4, 4, 5, 5)),
    }
    assert len(read_results(tmp_path / "comp4_det_val_cat.txt", IMAGES)) == 2


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    before = [
        detection("000012", 1, 0.123456789, (0, 0.5, 30.25, 40), mask=False),
        detection("my dog", 0, 1e-7, (1, 2, 3, 4), mask=False),
    ]
    write_voc_results(tmp_path / "results", before, IMAGES)
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert names == ["comp4_det_val_big_cat.txt", "comp4_det_val_cat.txt"]
    after = sorted(read_results(tmp_path / "results", IMAGES), key=lambda p: -p.score)
    for old, new in zip(before, after, strict=True):
        assert (old.image_id, old.class_id, old.score) == (new.image_id, new.class_id, pytest.approx(new.score))
        assert new.box.tolist() == old.box.tolist()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("000012 0.5 1 2 3", "is not: image score xmin ymin xmax ymax"),
        ("000013 0.5 1 2 3 4", "'000013' is not an image of the split"),
        ("000012 high 1 2 3 4", "'high' is not a finite number"),
        ("000012 0.5 1 nan 3 4", "'nan' is not a finite number"),
        ("000012 0.5 10 2 3 4", "is reversed"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "comp3_det_val_cat.txt").write_text(f"000012 0.5 1 2 3 4\n{line}\n")
    with pytest.raises(InputError, match=rf"comp3_det_val_cat\.txt: line 2: .*{message}"):
        read_results(tmp_path, IMAGES)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "called like comp4_det_val_cat.txt"),
        (["comp4_det_val_cta.txt"], "'cta' is not a class of coco:here; did you mean 'cat'"),
        (["comp3_det_val_cat.txt", "comp4_det_val_cat.txt"], "comp3 and of comp4"),
        (
            ["comp4_det_test_cat.txt", "comp4_det_train_cat.txt"],
            "2 files of class 'cat'; name a folder with those of one",
        ),
    ],
)
def test_folders_that_are_no_results(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=message):
        read_results(tmp_path, IMAGES)


def test_files_of_other_splits_are_left_alone(tmp_path: Path) -> None:
    for split, score in ((IMAGES.split, 0.5), ("test", 0.25)):
        (tmp_path / f"comp4_det_{split}_cat.txt").write_text(f"000012 {score} 1 1 9 9\n")
    (tmp_path / "comp3_det_test_big_cat.txt").write_text("nonsense")
    assert [p.score for p in read_results(tmp_path, IMAGES)] == [0.5]


def test_a_class_that_can_not_be_in_a_file_s_name(tmp_path: Path) -> None:
    images = image_list(["000012"], ("cup/spoon",), (1,))
    with pytest.raises(InputError, match="class 'cup/spoon': can not be part of a file's name"):
        write_voc_results(tmp_path / "results", [], images)
    assert not (tmp_path / "results").exists()


def test_eval_reads_and_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The truth's own boxes as results find everything, also when they were written by `eval` and read again."""
    data = tmp_path / "data"
    write_scenes(data, train=1, val=3, side=64)
    folder = tmp_path / "results"
    folder.mkdir()
    for path in sorted((data / "Annotations").glob("val_*.xml")):
        for item in re.findall(r"<object>.*?</object>", path.read_text(), re.S):
            name = re.search(r"<name>(\w+)</name>", item)[1]  # type: ignore[index]
            corners = [re.search(rf"<{side}>(\d+)<", item)[1] for side in ("xmin", "ymin", "xmax", "ymax")]  # type: ignore[index]
            with (folder / f"comp4_det_val_{name}.txt").open("a") as file:
                file.write(f"{path.stem} 0.9 {' '.join(corners)}\n")
    given = {"run": None, "data": f"voc:{data}", "split": "val", "store": None, "tta": False, "out": None}
    for place, written in ((folder, tmp_path / "again"), (tmp_path / "again", tmp_path / "once more")):
        assert evaluate.run(results=str(place), voc_results=str(written), **given) == 0  # type: ignore[arg-type]
        assert "100.0" in capsys.readouterr().out
