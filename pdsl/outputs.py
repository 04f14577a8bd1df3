"""No command writes over what it reads."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from PIL import Image

from data.errors import InputError
from data.files import is_url
from data.records import ImageList
from pdsl.report.panels import is_own_picture
from pdsl.run.names import CHECKPOINTS, CONFIG, LOG, WORKSPACE

PICTURES = frozenset(Image.registered_extensions())


def refuse_overwriting(
    outputs: Iterable[Path],
    *,
    option: str = "--out",
    files: Iterable[str | Path] = (),
    images: ImageList | None = None,
    run: str | Path | None = None,
    stores: Iterable[str] = (),
) -> None:
    """Raises InputError, beginning with `option`, where a file to write is one that is read, under whatever name or
    link; where it lies in a store; where it is a folder; and where it is a picture of somebody else's among the images.

    files: what is read, or folders of it; images: those of the data set; run: a run folder or a checkpoint.
    """
    inputs = [WORKSPACE, *_files_of(run), *files]
    pictures = [record.path for record in images.records] if images else []
    known = cache(lambda: _identities([*inputs, *pictures]))
    folders = cache(lambda: _picture_folders([*inputs, *pictures]))
    for output in outputs:
        if output.is_dir():
            raise InputError(f"{option} {output}: is a folder; name a file")
        for store in stores:
            if not is_url(store) and Path(store).resolve() in output.resolve().parents:
                raise InputError(f"{option} {output}: lies in the store {store}; give another place")
        if not output.exists():
            continue
        if (found := known().get(_identity(output))) is not None:
            raise InputError(f"{option} {output}: would overwrite {found}, which is read; give another place")
        among = output.suffix.lower() in PICTURES and output.resolve().parent in folders()
        if among and not is_own_picture(output):
            raise InputError(f"{option} {output}: exists among the images and is none of ours; give another place")


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


def _picture_folders(inputs: Iterable[str | Path]) -> set[Path]:
    """The folders that images are read from."""
    return {
        Path(name).parent.resolve() for name in inputs if not is_url(name) and Path(name).suffix.lower() in PICTURES
    }
