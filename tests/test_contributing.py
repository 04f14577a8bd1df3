"""CONTRIBUTING.md names files and names that exist, and its lists are whole: what knows a name today is named there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
PATH = re.compile(r"`((?:[\w.-]+/)*[\w.-]+(?:\.(?:py|md|yaml)|/))`")


def section(title: str) -> str:
    """The part below a heading."""
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_file_exists() -> None:
    """`NAME` stands for what is added; of several files in a cell the first one has the folder."""
    found = [path for path in PATH.findall(PAGE) if "NAME" not in path]
    assert len(found) > 20
    missing = [path for path in found if not (ROOT / path).exists() and not (ROOT / "pdsl/model" / path).exists()]
    assert missing == []


@pytest.mark.parametrize(
    ("title", "words", "known"),
    [
        ("Adding a stage", r"from stages\.iou_graph|IOU_GRAPH =|\"iou_graph/|\"iou-graph\", ", set()),
        ("Adding a reader of data sets", r"scheme (?:==|in) |\bscheme not in", {"data/truth_reader.py"}),
        ("Adding a backbone", r"\"vgg16\"", {"pdsl/model/weights.py"}),
    ],
)
def test_whoever_knows_an_example_by_name_is_listed(title: str, words: str, known: set[str]) -> None:
    """known: files that hold an exception for the example alone, which another one does not need."""
    text = section(title)
    rooms = [
        path
        for room in ("data", "store", "pipeline", "stages", "pdsl", "commands")
        for path in (ROOT / room).rglob("*.py")
    ]
    for path in [ROOT / "cli.py", *rooms]:
        name = str(path.relative_to(ROOT))
        own = name.startswith("stages/iou_graph/")
        if re.search(words, path.read_text()) and not own and name not in known:
            assert path.name in text, name
