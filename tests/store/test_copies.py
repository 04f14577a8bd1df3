"""Copies of what was read from object stores: whole or absent, within their limit, in a folder of one's own."""

import errno
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from data.errors import InputError
from store.copies import LEDGER, Copies

PARTS = (b"boxes", b"", b"masks" * 100)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != LEDGER)


def taken(folder: Path) -> int:
    return sum(path.stat().st_size for path in files(folder))


def test_what_is_put_is_there_for_everyone(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", 10**6)
    assert copies.get("a") is None
    copies.put("a", PARTS)
    assert copies.get("a") == Copies(tmp_path / "copies", 10**6).get("a") == PARTS
    assert copies.get("b") is None
    copies.drop("a")
    assert copies.get("a") is None


def test_a_changed_byte_anywhere_is_noticed_and_the_copy_goes(tmp_path: Path) -> None:
    copies = Copies(tmp_path, 10**6)
    copies.put("a", (b"box", b"score"))
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert copies.get("a") is None and not path.exists(), place
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert copies.get("a") is None, length


def test_never_more_than_the_limit_and_those_used_last_stay(tmp_path: Path) -> None:
    copies = Copies(tmp_path, 20_000)
    for number in range(100):
        copies.put(f"image {number}", [bytes(1000)])
        past = time.time() - 1000 + number
        os.utime(copies._path(f"image {number}"), (past, past))
        assert copies.get("image 0") is not None, "used again and again"
        assert taken(tmp_path) <= 20_000
    kept = [number for number in range(1, 100) if copies._path(f"image {number}").exists()]
    assert len(kept) > 15 and kept == list(range(kept[0], 100))
    copies.put("too large", [bytes(20_001)])
    assert copies.get("too large") is None and len(files(tmp_path)) == len(kept) + 1


def test_what_others_put_there_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_bytes(bytes(5000))
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "notes.copy").write_bytes(bytes(5000))
    copies = Copies(tmp_path, 3000)
    for number in range(10):
        copies.put(str(number), [bytes(1000)])
    assert (tmp_path / "thesis.tex").exists() and (tmp_path / "ab" / "notes.copy").exists()


def test_a_lost_ledger_is_counted_anew(tmp_path: Path) -> None:
    copies = Copies(tmp_path, 5000)
    for number in range(4):
        copies.put(str(number), [bytes(1000)])
    (tmp_path / LEDGER).write_bytes(b"?")
    for number in range(4, 8):
        copies.put(str(number), [bytes(1000)])
        assert taken(tmp_path) <= 5000


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_into_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    with pytest.raises(InputError, match=r"open: others own it or may write into it.*chmod go-w"):
        Copies(tmp_path / "open", 10**6)


def test_a_folder_that_is_made_is_its_makers_alone(tmp_path: Path) -> None:
    Copies(tmp_path / "new" / "copies", 10**6).put("a", PARTS)
    made = [tmp_path / "new" / "copies", *files(tmp_path)]
    assert all(path.stat().st_mode & 0o077 == 0 for path in made)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: can not hold copies"):
        Copies(tmp_path / "file", 10**6)


def test_a_ledger_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / "copies").mkdir(mode=0o700)
    (tmp_path / "copies" / LEDGER).symlink_to(tmp_path / "precious")
    Copies(tmp_path / "copies", 10**6).put("a", PARTS)
    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_a_full_disk_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("store.copies._write", full)
    copies = Copies(tmp_path, 10**6)
    copies.put("a", PARTS)
    copies.put("b", PARTS)
    assert capsys.readouterr().err.count("no more copies are kept (No space left on device)") == 1


def _many(folder: Path, seed: int) -> None:
    copies = Copies(folder, 50_000)
    for step in range(150):
        name = f"image {(seed * 37 + step) % 90}"
        found = copies.get(name)
        assert found in (None, (name.encode() * 80,)), "parts of two copies"
        if found is None:
            copies.put(name, [name.encode() * 80])


def test_several_processes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_many, args=(tmp_path, seed)) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert 0 < taken(tmp_path) <= 50_000 and not list(tmp_path.rglob("*.partial"))
