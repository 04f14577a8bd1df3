"""`init`: what it prints of a data set, and that the workspace it writes says just what was asked for."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given
from hypothesis import strategies as st

import cli as program
from commands.workspace import Workspace
from commands.workspace_text import workspace_text
from tests.data.layouts import coco_content, write_coco, write_folder, write_image, write_voc

CAT = ("cat", (2, 3, 10, 12), False)
FOLDER = "image,labels,split\na.jpg,dog;red cat,train\nb.jpg,dog,train\nc.jpg,,train\nd.jpg,dog,2012\n"


def init(*arguments: str) -> Result:
    return CliRunner().invoke(program.cli, ["init", *arguments])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_classes_and_their_images_are_printed(tmp_path: Path) -> None:
    spec = write_folder(tmp_path / "d", FOLDER, ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"])
    done = init("--data", spec, "--train", "train", "--val", "2012")
    assert done.exit_code == 0, done.output
    lines = done.stderr.splitlines()
    assert lines[0] == f"{spec} train: 3 images, 1 of them without any label, 2 classes"
    assert lines[1] == f"{spec} 2012: 1 images, 2 classes"
    assert lines[2] == f"{tmp_path}/d/images: 1 image is not listed in labels.csv and left out: e.jpg"
    assert [line.split() for line in lines[3:6]] == [
        ["class", "train", "2012"],
        ["dog", "2", "1"],
        ["red", "cat", "1", "0"],
    ]
    space = Workspace.find()
    assert (space.values["train_split"], space.values["val_split"]) == ("train", "2012")


def test_names_are_printed_as_they_are(tmp_path: Path) -> None:
    spec = write_folder(tmp_path / "a:cat:b [red]", "image,labels\na.jpg,:dog:;a[bold]cat[/]\n", ["a.jpg"])
    lines = [" ".join(line.split()) for line in init("--data", spec).stderr.splitlines()]
    assert {f"{spec} all: 1 images, 2 classes", ":dog: 1", "a[bold]cat[/] 1"} <= set(lines)


def test_the_splits_given_are_taken_where_there_are_no_usual_ones(tmp_path: Path) -> None:
    lists = {"Main/default": ["a"], "Main/x_train": ["a"]}
    voc = write_voc(tmp_path / "voc", {"a": [CAT]}, lists)
    refused = init("--data", voc)
    assert refused.exit_code == 2 and "known: default, x_train" in refused.stderr
    assert init("--data", voc, "--train", "x_train", "--val", "default").exit_code == 0
    assert Workspace.find().values["train_split"] == "x_train"
    Path("pdsl.yaml").unlink()
    coco = write_coco(tmp_path / "coco", coco_content(), "mine")
    refused = init("--data", coco, "--train", "mine")
    assert refused.exit_code == 2 and "name the splits; known: mine" in refused.stderr
    assert init("--data", coco, "--train", "mine", "--val", "mine").exit_code == 0


@pytest.mark.parametrize(
    "name",
    ["my photos", "50% #1", 'it\'s "so"', "{data}", "a: b", "[red]x[/red]", "1e3", "v\u00e9lo", "ve\u0301lo", "- x"],
)
def test_names_of_folders(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    write_image(folder / "images" / "a b.jpg")
    (folder / "labels.csv").write_text("image,labels,split\na b.jpg,cat;dog,#1\n")
    done = init("--data", f"folder:{folder}", "--train", "#1", "--val", "all")
    assert done.exit_code == 0, done.output
    assert f"folder:{folder} #1: 1 images, 2 classes" in done.stderr
    values = Workspace.find().values
    assert (values["data"], values["train_split"], values["val_split"]) == (f"folder:{folder}", "#1", "all")


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), min_size=3, max_size=3))
@example(["a\nb", "\x85", "\u2028 x"])
@example(["a\r\nb\n", "'\"", "...\n"])
def test_any_text_is_read_again(texts: list[str]) -> None:
    data, train, val = texts
    if not all(text.encode("utf-8", "ignore").decode() == text for text in texts):
        return
    Path("pdsl.yaml").write_text(workspace_text(data=data, train=train, val=val, config="c"), "utf-8")
    values = Workspace.find().values
    assert (values["data"], values["train_split"], values["val_split"]) == (data, train, val)
