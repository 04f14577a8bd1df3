"""Checkpoints: whole or absent, and never unpickled."""

import pickle
import random
from pathlib import Path

import pytest
import torch

from data.errors import InputError
from pdsl.run import checkpoint as module
from pdsl.run.checkpoint import latest_checkpoint, load_checkpoint, resumable_checkpoint, save_checkpoint


def content(step: int) -> module.Checkpoint:
    return {"model": {"w": torch.full((2,), float(step))}, "step": step, "config": {}, "class_names": ["cat"]}


def test_a_folder_of_that_name_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "checkpoints/last.pt").mkdir(parents=True)
    with pytest.raises((OSError, InputError)):
        save_checkpoint(tmp_path, {"model": {}, "step": 1, "config": {}, "class_names": ["cat"]})
    assert not list(tmp_path.rglob("*.partial"))


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


@pytest.mark.parametrize("sealed", [True, False])
def test_every_flipped_bit_is_found(tmp_path: Path, sealed: bool) -> None:
    """Anywhere in the file, headers included; without a seal (as torch.save alone writes it) within the tensors."""
    saved = {**content(5), "model": {"w": torch.randn(40, 50), "b": torch.randn(7)}}
    path = save_checkpoint(tmp_path, saved)
    if not sealed:
        torch.save(saved, path)
    data, rng = path.read_bytes(), random.Random(0)
    weights = data.index(saved["model"]["w"].numpy().tobytes())
    damaged = tmp_path / "damaged.pt"
    if sealed:
        places = [*rng.sample(range(len(data)), 400), *range(100), *range(len(data) - 200, len(data))]
    else:
        places = rng.sample(range(weights, weights + 8000), 60)
    for place in places:
        damaged.write_bytes(data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :])
        with pytest.raises(InputError, match=r"damaged\.pt: is not a readable checkpoint"):
            load_checkpoint(damaged)
    for length in (0, 21, len(data) // 2, len(data) - 71, len(data) - 1):
        damaged.write_bytes(data[:length])
        with pytest.raises(InputError, match="not a readable checkpoint"):
            load_checkpoint(damaged)


def test_torch_reads_a_sealed_file_by_itself(tmp_path: Path) -> None:
    assert torch.load(save_checkpoint(tmp_path, content(5)), weights_only=True)["step"] == 5


def test_the_others_are_named_where_the_last_is_damaged_or_missing(tmp_path: Path) -> None:
    for step in (2, 4):
        save_checkpoint(tmp_path, content(step))
    last = tmp_path / "checkpoints/last.pt"
    last.unlink()
    with pytest.raises(InputError, match=r"holds no checkpoints/last\.pt; .* also holds step-000004\.pt, step-000002"):
        load_checkpoint(tmp_path)
    last.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"last\.pt: is not a readable .* also holds step-000004\.pt, step-000002"):
        load_checkpoint(tmp_path)


def test_resume_goes_on_from_the_newest_whole_checkpoint(tmp_path: Path) -> None:
    said: list[str] = []
    assert resumable_checkpoint(tmp_path, said.append) is None
    for step in (2, 4, 6):
        save_checkpoint(tmp_path, content(step))
    folder = tmp_path / "checkpoints"
    assert resumable_checkpoint(tmp_path, said.append) == folder / "last.pt" and not said
    (folder / "last.pt").unlink()
    (folder / "step-000006.pt").write_bytes(b"PK")
    assert resumable_checkpoint(tmp_path, said.append) == folder / "step-000004.pt"
    assert "step-000006.pt: is not a readable checkpoint" in said[0] and "going on from step-000004.pt" in said[1]
    for name in ("step-000002.pt", "step-000004.pt"):
        (folder / name).write_bytes(b"PK")
    with pytest.raises(InputError, match="holds no whole checkpoint; restore one"):
        resumable_checkpoint(tmp_path, said.append)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in range(1, 6):
        save_checkpoint(tmp_path, content(step), kept=2)
    folder = tmp_path / "checkpoints"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["last.pt", "step-000004.pt", "step-000005.pt"] and load_checkpoint(tmp_path)["step"] == 5
    save_checkpoint(tmp_path, content(999_999), kept=2)
    save_checkpoint(tmp_path, content(1_000_000), kept=2)
    (folder / "last.pt").unlink()
    assert resumable_checkpoint(tmp_path, lambda text: None) == folder / "step-1000000.pt"
    save_checkpoint(tmp_path, content(7), kept=2)  # gone on from an older one: what lies before it stays
    assert {path.name for path in folder.glob("step-*")} == {
        "step-000007.pt",
        "step-999999.pt",
        "step-1000000.pt",
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, value: float) -> None:
    broken = {**content(3), "model": {"w": torch.tensor([1.0, value])}}
    with pytest.raises(InputError, match=r"update 3: the weights 'w' are not finite; lower optimizer\.lr"):
        save_checkpoint(tmp_path, broken)
    moments = {"state": {0: {"momentum_buffer": torch.tensor(value)}}}
    with pytest.raises(InputError, match=r"'state\.0\.momentum_buffer' are not finite"):
        save_checkpoint(tmp_path, {**content(3), "optimizer": moments})
    assert not (tmp_path / "checkpoints").exists()
    torch.save(broken, tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"x\.pt: the weights 'w' are not finite"):
        load_checkpoint(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "change", [{"config": None}, {"model": 5}, {"class_names": 7}, {"step": "x"}, {"decoding": 5}, {"proposals": [1]}]
)
def test_types_in_a_checkpoint_are_checked(tmp_path: Path, change: dict[str, object]) -> None:
    torch.save({**content(1), **change}, tmp_path / "x.pt")
    with pytest.raises(InputError, match=rf"x\.pt: its '{next(iter(change))}' is no"):
        load_checkpoint(tmp_path / "x.pt")
