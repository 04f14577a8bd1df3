"""Checkpoints: whole or absent, and never unpickled."""

import pickle
from pathlib import Path

import pytest
import torch

from data.errors import InputError
from pdsl.run import checkpoint as module
from pdsl.run.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint


def content(step: int) -> module.Checkpoint:
    return {"model": {"w": torch.full((2,), float(step))}, "step": step, "config": {}, "class_names": ["cat"]}


def test_last_is_the_newest_and_older_ones_stay(tmp_path: Path) -> None:
    for step in (5, 10):
        save_checkpoint(tmp_path, content(step))
    assert load_checkpoint(tmp_path)["step"] == 10
    assert load_checkpoint(tmp_path / "checkpoints/step-000005.pt")["model"]["w"].tolist() == [5, 5]
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == [
        "last.pt",
        "step-000005.pt",
        "step-000010.pt",
    ]


def test_a_write_that_fails_leaves_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, content(5))

    def full_disk(value: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(InputError, match=r"step-000010\.pt: .*No space left on device.*--resume"):
        save_checkpoint(tmp_path, content(10))
    assert load_checkpoint(tmp_path)["step"] == 5
    assert not list((tmp_path / "checkpoints").glob("*.partial"))


def test_without_hard_links_last_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refused)
    save_checkpoint(tmp_path, content(3))
    assert load_checkpoint(tmp_path)["step"] == 3


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("executed",)


def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert latest_checkpoint(tmp_path) is None
    with pytest.raises(InputError, match=r"holds no checkpoints/last\.pt"):
        load_checkpoint(tmp_path)
    cases = {"cut.pt": b"PK\x03\x04", "trap.pt": pickle.dumps(Trap(), protocol=2), "empty.pt": b""}
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=f"{name}: is not a readable checkpoint"):
            load_checkpoint(tmp_path / name)
    torch.save({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="lacks class_names, config, step"):
        load_checkpoint(tmp_path / "other.pt")
    torch.save({"trap": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / "trap.pt")
    assert "executed" not in capsys.readouterr().out
