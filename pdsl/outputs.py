"""No command writes over what it reads."""

import re
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from PIL import Image

from data.errors import InputError
from data.files import irregular_kind, is_url
from data.records import ImageList
from pdsl.report.panels import is_own_picture
from pdsl.run.names import CHECKPOINTS, CONFIG, LOG, WORKSPACE

PICTURES = frozenset(Image.registered_extensions())
WRITTEN = frozenset({".json", ".html", ".csv", ".txt"})
"""What commands write beside pictures. Over a file that is called otherwise none of ours is ever to be written."""
BEGINNINGS = re.compile(
    r'{"protocol": |{"info": {"description": "pseudo labels by |\[{"image_id": |\[\]|<!doctype html>.*<title>PDSL: ',
    re.DOTALL,
)
"""Of metrics, pseudo labels, results and reports."""


def refuse_overwriting(
    outputs: Iterable[Path],
    *,
    option: str = "--out",
    files: Iterable[str | Path] = (),
    data: Iterable[str | Path] = (),
    images: ImageList | None = None,
    run: str | Path | None = None,
    stores: Iterable[str] = (),
) -> None:
    """Raises InputError, beginning with `option`, where a file to write is one that is read, under whatever name or
    link; where it exists beside files of the data set, or under a name that none of ours has; where it lies in a store;
    where it is a folder, a pipe or a device; and where it is a picture of somebody else's.

    Raises OSError where no file can be made, before hours of work are lost to it.

    files: what is read, or folders of it; data: the data set's files that are read; images: those of the data set;
    run: a run folder or a checkpoint.
    """
    pictures = [record.path for record in images.records] if images else []
    inputs = [WORKSPACE, *_files_of(run), *files, *data, *pictures]
    known = cache(lambda: _identities(inputs))
    folders = cache(lambda: _folders([*data, *pictures]))
    writable = cache(_require_writable)
    for output in outputs:
        if output.is_dir():
            raise InputError(f"{option} {output}: is a folder; name a file")
        for store in stores:
            if not is_url(store) and Path(store).resolve() in output.resolve().parents:
                raise InputError(f"{option} {output}: lies in the store {store}; give another place")
        writable(output.parent)
        if not output.exists():
            continue
        if kind := irregular_kind(output):
            raise InputError(f"{option} {output}: is a {kind}; name a regular file")
        if (found := known().get(_identity(output))) is not None:
            raise InputError(f"{option} {output}: would overwrite {found}, which is read; give another place")
        if output.is_symlink():
            continue  # a new file takes the link's place; what it leads to stays
        if why := _foreign(output, folders()):
            raise InputError(f"{option} {output}: {why}; give another place")


def _require_writable(folder: Path) -> None:
    """Raises OSError where no file can be made in a folder, or in the one that it will be made in."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        error.filename = str(folder)
        raise


def _foreign(output: Path, folders: set[Path]) -> str | None:
    """Why a file that exists may be somebody's, if so."""
    if output.suffix.lower() in PICTURES:
        return None if is_own_picture(output) else "exists and is no picture of ours"
    if output.suffix.lower() not in WRITTEN:
        return "exists and, by its name, is none of ours"
    if output.resolve().parent not in folders or _is_own_text(output):
        return None
    return "exists beside files of the data set and is none of ours"


def _is_own_text(path: Path) -> bool:
    """Whether a file begins as those that commands write."""
    with path.open("rb") as file:
        return BEGINNINGS.match(file.read(1000).decode(errors="replace")) is not None


def _files_of(run: str | Path | None) -> list[Path]:
    """What is read of a run folder or checkpoint."""
    folder = Path(run or "")
    if run is None or not folder.is_dir():
        return [folder] if run else []
    return [folder / CONFIG, folder / LOG, *(folder / CHECKPOINTS).glob("*")]


def _identities(inputs: Iterable[str | Path]) -> dict[tuple[int, int], str | Path]:
    """The inputs by their files' identity; of a folder, those of its files."""
    found: dict[tuple[int, int], str | Path] = {}
    for name in inputs:
        if is_url(name) or not (path := Path(name)).exists():
            continue
        for file in path.iterdir() if path.is_dir() else [path]:
            found.setdefault(_identity(file), name)
    return found


def _identity(path: Path) -> tuple[int, int]:
    """What a file is, whatever it is called and linked by."""
    state = path.stat()
    return state.st_dev, state.st_ino


def _folders(files: Iterable[str | Path]) -> set[Path]:
    """Those that hold the files."""
    return {Path(name).parent.resolve() for name in files if not is_url(name)}
