"""Which images a person means: files, URLs, folders, patterns, lists of them."""

import glob
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import InputError, system_advice
from data.files import is_url
from data.names import SUFFIXES, is_image, stem
from data.regular import read_regular

LIST_SUFFIXES = (".txt", ".lst")
STANDARD_INPUT = "-"
VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv")


@dataclass(frozen=True)
class NamedImage:
    """path: file or URL. name: its own, without suffix, unique among those it was found with; "/" parts folders."""

    path: str
    name: str


def find_images(arguments: Sequence[str]) -> list[NamedImage]:
    """The images that `arguments` mean, each once, in order; a file may be missing or no image.

    An argument is a file, a URL, a folder (its images, also in folders below; hidden ones are not looked at), a pattern
    (`photos/*.jpg`, `**` for all folders below), a list (.txt, .lst: one of these a line, `#` begins a comment; paths
    are relative to the working folder, or else to the list) or `-`, the same from standard input.
    Raises InputError where an argument means no image, is a video, or where none of all files exists.
    """
    found: dict[str, tuple[str, str]] = {}
    for argument in arguments:
        for path, name in _meant(argument):
            found.setdefault(path if is_url(path) else str(Path(path).absolute()), (path, name))
    pairs = list(found.values())
    if pairs and not any(is_url(path) or Path(path).exists() for path, _ in pairs):
        raise InputError(f"{pairs[0][0]}: no such file" + (f", nor any of the {len(pairs)} given" if pairs[1:] else ""))
    names = unique_names([name for _, name in pairs])
    return [NamedImage(path, name) for (path, _), name in zip(pairs, names, strict=True)]


def unique_names(names: Sequence[str]) -> list[str]:
    """The same names, numbered where several share one: ["x", "x"] -> ["x", "x-2"]."""
    taken: set[str] = set()
    unique = []
    for wanted in names:
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}-{number}", number + 1
        taken.add(name)
        unique.append(name)
    return unique


def _meant(argument: str, origin: Path | None = None) -> Iterator[tuple[str, str]]:
    """(path, name) of every image that an argument means; origin: the folder of the list it stands in."""
    if origin is None and (argument == STANDARD_INPUT or argument.lower().endswith(LIST_SUFFIXES)):
        for line in _lines(argument):
            yield from _meant(line, Path(argument).parent)
        return
    path = Path(argument)
    if origin is not None and not is_url(argument) and not path.exists() and (origin / path).exists():
        path = origin / path
    if is_url(argument):
        yield argument, stem(argument.rpartition("/")[2]) or "image"
    elif path.is_dir():
        yield from _below(path)
    elif not path.exists() and glob.has_magic(argument):
        yield from _matching(argument)
    else:
        if origin is None and path.suffix.lower() in VIDEOS and path.is_file():
            frames = f"ffmpeg -i {shlex.quote(argument)} frames/%06d.jpg"
            raise InputError(f"{argument}: is a video; take its frames (mkdir frames; {frames}) and name their folder")
        yield str(path), stem(path.name) or "image"


def _lines(argument: str) -> list[str]:
    try:
        text = sys.stdin.read() if argument == STANDARD_INPUT else read_regular(argument).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{argument}: {system_advice(error) or error.strerror}; name a list of image files") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{argument}: is no text; a list has one image file a line") from error
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise InputError(f"{argument}: names no image; write one file a line")
    return found


def _below(folder: Path) -> Iterator[tuple[str, str]]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if is_image(path.name) and path.is_file())
    seen = sorted(path.as_posix() for path in files if not any(part.startswith(".") for part in path.parts))
    if not seen:
        raise InputError(f"{folder}: holds no image ({', '.join(SUFFIXES[:5])}, …), nor do the folders below it")
    for name in seen:
        yield str(folder / name), stem(name)


def _matching(pattern: str) -> Iterator[tuple[str, str]]:
    paths = glob.glob(pattern, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
    files = sorted(path for path in paths if is_image(path) and Path(path).is_file())
    if not files:
        raise InputError(f"{pattern}: no image file matches")
    for path in files:
        yield path, stem(Path(path).name)
