"""What is done to a file before a command reads it: other bytes, a pipe, a link, a folder; and bytes that harm."""

import os
import pickle
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

Change = Callable[[Path], None]


def wrote(name: str, content: bytes | str) -> Change:
    """A file with that content, over what is there."""

    def change(place: Path) -> None:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def piped(name: str) -> Change:
    """A named pipe in its place, which nobody ever writes to."""

    def change(place: Path) -> None:
        gone(name)(place)
        os.mkfifo(place / name)

    return change


def piped_in(folder: str, name: str) -> Change:
    """A new folder with nothing but such a pipe."""

    def change(place: Path) -> None:
        (place / folder).mkdir()
        os.mkfifo(place / folder / name)

    return change


def linked(name: str, target: str) -> Change:
    """A link in its place."""

    def change(place: Path) -> None:
        gone(name)(place)
        (place / name).symlink_to(target)

    return change


def foldered(name: str) -> Change:
    """A folder in its place."""

    def change(place: Path) -> None:
        gone(name)(place)
        (place / name).mkdir(parents=True)

    return change


def gone(name: str) -> Change:
    """It is not there."""

    def change(place: Path) -> None:
        path = place / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    return change


def swapped(one: str, other: str) -> Change:
    """Two files under each other's names."""

    def change(place: Path) -> None:
        first, second = (place / one).read_bytes(), (place / other).read_bytes()
        (place / one).write_bytes(second)
        (place / other).write_bytes(first)

    return change


class Owned:
    """A pickle that runs code where it is loaded."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch owned",)


CODE = pickle.dumps(Owned())
BOMB = '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx">' + "".join(
    f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' if n else '<!ENTITY x0 "&x;">' for n in range(10)
)
DEEP = "[" * 100_000


def png(width: int, height: int) -> bytes:
    """A picture of that size, all of one colour."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def results(row: str) -> Change:
    """A results file of one row that also says `row`."""
    return wrote("results.json", f'[{{"image_id": "train_000001", "category_id": 1, "score": 0.9, {row}}}]')
