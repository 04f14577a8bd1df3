"""Files, folders, patterns and lists, as they are typed."""

import io
from pathlib import Path

import pytest

from data.errors import InputError
from data.image_paths import find_images, unique_names
from data.names import file_names

FILES = ("a.jpg", "b.PNG", "notes.md", "deep/a.jpg", "deep/er/c.jpeg", ".hidden/x.jpg", "deep/.y.jpg")


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: photos/ with FILES, and lists."""
    for name in FILES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "photos" / "list.txt").write_text("# two\n\nb.PNG\n deep/a.jpg \n")  # relative to the list
    (tmp_path / "list.lst").write_text("\ufeffphotos/a.jpg\nphotos/deep\nphotos/gone.jpg\n", encoding="utf-8")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "[odd].jpg").write_bytes(b"x")
    (tmp_path / "a clip.MP4").write_bytes(b"x")
    (tmp_path / "with-clip.txt").write_text("a clip.MP4\nphotos/a.jpg\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["photos/a.jpg"], {"photos/a.jpg": "a"}),
        (["photos/notes.md"], {"photos/notes.md": "notes.md"}),  # a file that is named is tried, whatever it is called
        (["photos/gone.jpg", "photos/a.jpg"], {"photos/gone.jpg": "gone", "photos/a.jpg": "a"}),
        (["photos/a.jpg", "./photos/a.jpg"], {"photos/a.jpg": "a"}),
        (["photos/a.jpg", "photos/deep/a.jpg"], {"photos/a.jpg": "a", "photos/deep/a.jpg": "a-2"}),
        (["photos/deep/"], {"photos/deep/a.jpg": "a", "photos/deep/er/c.jpeg": "er/c"}),
        (
            ["photos"],
            {
                "photos/a.jpg": "a",
                "photos/b.PNG": "b",
                "photos/deep/a.jpg": "deep/a",
                "photos/deep/er/c.jpeg": "deep/er/c",
            },
        ),
        (["photos/*"], {"photos/a.jpg": "a", "photos/b.PNG": "b"}),
        (["photos/**/c*"], {"photos/deep/er/c.jpeg": "c"}),
        (["[odd].jpg"], {"[odd].jpg": "[odd]"}),
        (["photos/list.txt"], {"photos/b.PNG": "b", "photos/deep/a.jpg": "a"}),
        (
            ["list.lst"],
            {
                "photos/a.jpg": "a",
                "photos/deep/a.jpg": "a-2",
                "photos/deep/er/c.jpeg": "er/c",
                "photos/gone.jpg": "gone",
            },
        ),
        (["with-clip.txt"], {"a clip.MP4": "a clip.MP4", "photos/a.jpg": "a"}),  # one of many fails alone
        (["s3://bucket/x/1.jpg"], {"s3://bucket/x/1.jpg": "1"}),
    ],
)
def test_what_arguments_mean(arguments: list[str], expected: dict[str, str]) -> None:
    assert {image.path: image.name for image in find_images(arguments)} == expected


def test_a_list_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("photos/a.jpg\nphotos/b.PNG\n"))
    assert [image.name for image in find_images(["-"])] == ["a", "b"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("photos/gone.jpg", "photos/gone.jpg: no such file$"),
        ("empty", "empty: holds no image"),
        ("photos/*.bmp", "no image file matches"),
        ("gone.txt", r"gone\.txt: .*name a list"),
        ("empty.txt", r"empty\.txt: names no image"),
        ("a clip.MP4", r"a clip\.MP4: is a video; .*ffmpeg -i 'a clip\.MP4' frames/%06d\.jpg"),
    ],
)
def test_arguments_that_mean_nothing(argument: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_images([argument])


def test_names_are_unique() -> None:
    assert unique_names(["x", "x", "y", "x", "x-2"]) == ["x", "x-2", "y", "x-3", "x-2-2"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/x/1.jpg", "/a/y/2.jpg"], ["1.jpg", "2.jpg"]),
        (["/a/x/1.jpg", "/a/y/1.jpg", "/a/y/2.jpg"], ["x/1.jpg", "y/1.jpg", "y/2.jpg"]),
        (["/a/1.jpg", "/a/y/1.jpg"], ["1.jpg", "y/1.jpg"]),
        (["s3://b/x/1.jpg", "s3://b/y/1.jpg"], ["x/1.jpg", "y/1.jpg"]),
        ([], []),
    ],
)
def test_files_of_one_name_are_told_apart_by_their_folders(paths: list[str], names: list[str]) -> None:
    assert file_names(paths) == names
