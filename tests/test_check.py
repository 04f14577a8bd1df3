"""`check`: what is found, what is missing, and the exit status."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.io import savemat

import cli as program
from data import published
from data.voc import CLASSES
from tests.data.layouts import coco_content, write_coco, write_segmentation, write_voc

CAT = ("cat", (2, 3, 10, 12), False)
IDS = ("2007_000032", "2008_000001", "2011_000003")


def check(*arguments: str) -> Result:
    return CliRunner().invoke(program.cli, ["check", *arguments])


def voc(root: Path, ids: tuple[str, ...] = IDS) -> str:
    spec = write_voc(root, {i: [CAT] for i in ids}, {"Main/train": ids, "Segmentation/val": ids[:2]})
    for image_id in ids[:2]:
        write_segmentation(root, image_id, np.ones((20, 30)), np.ones((20, 30)))
    return spec


def boxes(folder: Path, ids: tuple[str, ...]) -> None:
    folder.mkdir()
    for image_id in ids:
        savemat(folder / f"{image_id}.mat", {"boxes": np.array([[1.0, 1, 9, 9]]), "scores": np.array([0.5])})


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    ("change", "proposals", "status", "message"),
    [
        (lambda root: None, None, 0, "all there"),
        (lambda root: (root / f"JPEGImages/{IDS[2]}.jpg").unlink(), None, 2, f"train: .*1 images .*missing: {IDS[2]}"),
        (lambda root: (root / f"Annotations/{IDS[2]}.xml").unlink(), None, 2, "train: .*1 images .*no annotation"),
        (lambda root: (root / "ImageSets/Main/train.txt").write_text("x\nx\n"), None, 2, "train: .*listed twice"),
        (
            lambda root: (root / f"SegmentationObject/{IDS[1]}.png").unlink(),
            None, 3, f"seg-val: .*SegmentationObject: lacks the masks of 1 images: {IDS[1]}",
        ),
        (lambda root: None, IDS, 0, "all there"),
        (lambda root: None, IDS[:2], 3, f"train: .*has nothing for 1 of 3 images .{IDS[2]}"),
        (lambda root: None, ("other",), 2, "seg-val: .*has nothing for 2 of 2 images"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(
    tmp_path: Path, change: Change, proposals: tuple[str, ...] | None, status: int, message: str
) -> None:
    spec = voc(tmp_path / "voc")
    (tmp_path / "voc" / "classes.txt").write_text("cat\n")  # a data set of the user's own: nothing is published
    change(tmp_path / "voc")
    options = []
    if proposals:
        boxes(tmp_path / "MCG", proposals)
        options = ["--proposals-from", str(tmp_path / "MCG")]
    done = check(spec, *options)
    assert done.exit_code == status, done.output
    assert "not one of the published" in done.stdout
    assert any(re.search(message, line) for line in done.stdout.splitlines()), done.stdout


@pytest.mark.parametrize(("train", "status"), [(3, 0), (4, 3)])
def test_numbers_are_held_against_the_published_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: int, status: int
) -> None:
    counts = {"train": train, "seg-val": 2, "sbd-train": 9}
    table = {name: published.PublishedSplit(n, f"{name}.tar") for name, n in counts.items()}
    known = [(name, pattern, table) for name, pattern, _ in published.VOC_IDS]
    monkeypatch.setattr(published, "VOC_IDS", known)
    done = check(voc(tmp_path))
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.exit_code == status and done.stdout.startswith(f"voc:{tmp_path}: PASCAL VOC 2012\n")
    assert ["train", "3", f"{train}", "3"] in lines and ["seg-val", "2", "2", "2"] in lines
    assert ["sbd-train", "-", "9", "not", "there;", "it", "comes", "with", "sbd-train.tar"] in lines
    assert ("train: 3 images, published are 4; unpack train.tar again" in done.stdout) == bool(status)


@pytest.mark.parametrize(
    ("spec", "message"),
    [("voc:nowhere", "no folder JPEGImages"), ("coco:nowhere", "no such file"), ("vok:x", "did you mean 'voc'")],
)
def test_no_data_set_is_an_error(spec: str, message: str) -> None:
    done = check(spec)
    assert done.exit_code == 2 and message in done.stderr


def test_a_workspace_names_what_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = voc(tmp_path / "voc")
    write_voc(tmp_path / "voc", {}, {"Main/broken": ["x"]})
    Path("pdsl.yaml").write_text(f"data: {spec}\ntrain_split: seg-val\nval_split: seg-val\nproposals_from: MCG\n")
    done = check()
    assert done.exit_code == 2 and "MCG: no such folder" in done.stderr
    boxes(tmp_path / "MCG", IDS)
    done = check()
    assert done.exit_code == 3 and "broken" not in done.stdout and "published are 1449" in done.stdout
    assert check("--split", "broken").exit_code == 2


@pytest.mark.parametrize(
    ("scheme", "ids", "splits", "expected"),
    [
        ("voc", ("2007_000032", "2012_004331"), ("train",), "PASCAL VOC 2012"),
        ("voc", ("000005",), ("train",), "PASCAL VOC 2007"),
        ("voc", ("000005", "2007_000032"), ("train",), None),
        ("voc", (), ("train",), None),
        ("coco", ("9",), ("val2017", "mine"), "MS COCO"),
        ("coco", ("9",), ("mine",), None),
        ("folder", ("000005",), ("train",), None),
    ],
)
def test_which_data_set_it_is(scheme: str, ids: tuple[str, ...], splits: tuple[str, ...], expected: str | None) -> None:
    found = published.recognise(scheme, CLASSES, ids, splits)
    assert (found and found[0]) == expected
    assert published.recognise("voc", ("gear",), ("000005",), ("train",)) is None


def test_published_numbers_add_up() -> None:
    for table in (published.VOC2012, published.VOC2007):
        for kind in ("", "seg-"):
            parts = [table[f"{kind}{name}"].images for name in ("train", "val", "trainval")]
            assert parts[0] + parts[1] == parts[2]
    coco = {name: split.images for name, split in published.COCO.items()}
    assert coco["minival2014"] + coco["valminusminival2014"] == coco["val2014"]
    assert coco["train2014"] + coco["valminusminival2014"] == coco["train2017"]
    assert published.SBD["sbd-train"].images + published.SBD["sbd-val"].images == 11355


def test_coco(tmp_path: Path) -> None:
    done = check(write_coco(tmp_path, coco_content()))
    assert done.exit_code == 3 and "val2017: 2 images, published are 5000" in done.stdout
    assert "train2017" in done.stdout and "2014" not in done.stdout
