"""Images that fail are named: on the terminal, in JSON, and in a file that `precompute --images` takes back."""

import csv
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import cli
from commands import precompute, status
from data.errors import InputError
from data.scenes import write_scenes
from store.store import open_store

SETTINGS = {
    "proposals": {"method": "selective-search", "mode": "fast", "max_proposals": 20, "side": 64},
    "store": {"shard": 2},
}
BROKEN = ("train_000001", "train_000002", "train_000004")


@pytest.fixture
def broken(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    """Five images, of which three were damaged when the proposals were computed; whole again since then."""
    data = tmp_path / "data"
    write_scenes(data, train=5, val=1, side=48)
    whole = {name: (data / f"JPEGImages/{name}.jpg").read_bytes() for name in BROKEN}
    for name in BROKEN:
        (data / f"JPEGImages/{name}.jpg").write_bytes(b"<html>")
    assert run(data, url) == 3
    said = capsys.readouterr().out
    assert all(f"{name}: not an image of a known format" in said for name in BROKEN)
    for name, content in whole.items():
        (data / f"JPEGImages/{name}.jpg").write_bytes(content)
    return data, url


def run(data: Path, url: str, **options: object) -> int:
    given = {"split": "train", "stage": "proposals", "workers": 0, "settings": SETTINGS, **options}
    return precompute.run(data=f"voc:{data}", store=url, **given)  # type: ignore[arg-type]


def test_status_names_them(broken: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = broken[1]
    file = tmp_path / "lists" / "failed.csv"
    assert status.run(store=url, failed=str(file)) == 0
    said = capsys.readouterr().out
    assert all(f"proposals: image {name}: not an image" in said for name in BROKEN)
    assert status.run(store=url, json=True) == 0
    failures = json.loads(capsys.readouterr().out)["failures"]
    assert [(f["image"], f["stage"]) for f in failures] == [(name, "proposals") for name in BROKEN]
    with file.open(newline="") as lines:
        assert list(csv.DictReader(lines)) == failures


def test_the_file_can_be_fed_back(broken: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, url = broken
    file = tmp_path / "failed.csv"
    status.run(store=url, failed=str(file))
    assert run(data, url, images=str(file)) == 0
    assert "proposals: 3 of 3 images done; 3 computed" in capsys.readouterr().out
    assert open_store(url).status("proposals").tolist() == [1] * 5
    file.write_text("train_000003\n")
    assert run(data, url, images=str(file)) == 0
    assert "1 computed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"), [("\n", "lists no image"), ("train_00001\n", "has no image train_00001; did you mean 'train_")]
)
def test_lists_that_name_nothing_are_refused(broken: tuple[Path, str], tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        run(*broken, images=str(tmp_path / "list.txt"))


def test_a_workspace_gives_one_json_document(broken: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    data, url = broken
    other = f"{url}-val"
    assert precompute.run(data=f"voc:{data}", split="val", store=other, stage="proposals", workers=0) == 0
    workspace = Path(url).parent
    monkeypatch.chdir(workspace)
    (workspace / "pdsl.yaml").write_text(f"data: voc:{data}\nstores: {{train: {url}, val: {other}}}\n")
    result = CliRunner().invoke(cli, ["status", "--json", "--failed", "failed.csv"])
    assert result.exit_code == 0, result.output
    documents = json.loads(result.stdout)["stores"]
    assert [os.path.basename(d["store"]) for d in documents] == [Path(url).name, Path(other).name]  # noqa: PTH119
    assert [len(d["failures"]) for d in documents] == [3, 0]
    assert len(Path("failed.csv").read_text().splitlines()) == 4
