"""Files below a folder that is local or an fsspec URL (s3://, gs://, memory://), and the one way to open such a URL."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from data.clouds import OPTIONS_VARIABLE, advice_on, first_line, how_to_install
from data.errors import InputError
from data.parameters import read_mapping
from data.regular import open_regular
from data.retry import UnreachableError, count_botocores, retried, tried_again


def is_url(path: str | Path) -> bool:
    """Whether `path` names a place for fsspec rather than a local one."""
    return "://" in str(path)


def absolute(place: str) -> str:
    """A local path made absolute, `~` expanded; a URL as it is. For what is kept and read from another folder later."""
    return place if is_url(place) else str(Path(place).expanduser().absolute())


def open_binary(path: str | Path) -> IO[bytes]:
    """A local path or fsspec URL opened for reading.

    Raises OSError as `open` does, InputError for an unknown protocol or one whose package is not installed.
    """
    if not is_url(path):
        return _open_noted(Path(path))
    with asking(str(path)):
        filesystem, inner = open_filesystem(str(path))
        stream: IO[bytes] = filesystem.open(inner, "rb")
        return stream


@contextmanager
def asking(place: str) -> Iterator[None]:
    """Whatever the client of an object store raises inside, as InputError; what is missing stays FileNotFoundError.

    Errors of local places pass as they are.
    """
    try:
        yield
    except (InputError, FileNotFoundError, NotADirectoryError):
        raise
    except Exception as error:  # no credentials, no rights, no such host: each client has its own types
        if not is_url(place):
            raise
        advice = advice_on(place, error) or f"check the URL, your rights there and {OPTIONS_VARIABLE}"
        raise InputError(f"{place}: can not be read ({first_line(error)}); {advice}") from error


def _open_noted(path: Path) -> IO[bytes]:
    """As `open_regular`, for `opened_files`."""
    stream = open_regular(path)
    for noted in _notebooks:
        noted.append(str(path))
    return stream


_notebooks: list[list[str]] = []


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Within the block the list grows by the path of every local file that this module opens."""
    noted: list[str] = []
    _notebooks.append(noted)
    try:
        yield noted
    finally:
        _notebooks.remove(noted)


def irregular_kind(path: Path) -> str | None:
    """What a local path is that can not be read to an end: "named pipe", "socket" or "device"; None for others."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return "named pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"


def read_remote(url: str) -> bytes:
    """The content behind an fsspec URL, in one request, tried again for about a minute if the store does not answer.

    Raises OSError as `open` does, InputError for an unknown protocol and for a store that stays silent.
    """
    filesystem, inner = open_filesystem(url)
    try:
        return bytes(retried(lambda: filesystem.cat_file(inner)))
    except UnreachableError as error:
        raise InputError(
            f"{url}: could not be read {error}; check the object store, then run the same command again to continue"
        ) from error
    except OSError:
        raise
    except Exception as error:
        if advice := advice_on(url, error):
            raise InputError(f"{url}: can not be read ({first_line(error)}); {advice}") from error
        raise


def read_remote_together(urls: Sequence[str]) -> dict[str, bytes]:
    """The contents behind fsspec URLs of one protocol, asked for all at once; those that did not come are left out.

    Raises InputError for an unknown protocol.
    """
    if not urls:
        return {}
    filesystem, _ = open_filesystem(urls[0])
    paths = [str(filesystem._strip_protocol(url)) for url in urls]
    try:
        found = filesystem.cat_ranges(paths, [None] * len(paths), [None] * len(paths), on_error="return")
    except Exception as error:  # each is read by itself then, with retries
        tried_again(error)
        return {}
    for value in found:
        tried_again(value)
    return {url: value for url, value in zip(urls, found, strict=True) if isinstance(value, bytes)}


@dataclass(frozen=True)
class Folder:
    """A folder by absolute local path or URL; `parts` of the methods are relative to it."""

    url: str

    @classmethod
    def at(cls, place: str) -> "Folder":
        """The folder a user typed: `~` expanded, local paths made absolute so that workers elsewhere find them."""
        return cls(place.rstrip("/") if is_url(place) else str(Path(place).expanduser().absolute()))

    def path(self, *parts: str) -> str:
        """Path or URL of something below this folder."""
        return "/".join((self.url, *parts))

    def below(self, *parts: str) -> "Folder":
        return Folder(self.path(*parts))

    def has(self, *parts: str) -> bool:
        """Whether the file or folder exists."""
        if is_url(self.url):
            with asking(self.path(*parts)):
                filesystem, inner = open_filesystem(self.path(*parts))
                return bool(filesystem.exists(inner))
        return Path(self.path(*parts)).exists()

    def open(self, *parts: str) -> IO[bytes]:
        """A file opened for reading; InputError if that fails."""
        path = self.path(*parts)
        try:
            return open_binary(path)
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; check the folder's layout") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error

    def read(self, *parts: str) -> bytes:
        """Content of a file; InputError if it cannot be read."""
        with self.open(*parts) as stream, asking(self.path(*parts)):
            return stream.read()

    def read_text(self, *parts: str) -> str:
        """Content of a UTF-8 text file (a byte-order mark is dropped); InputError if it is not one."""
        try:
            return self.read(*parts).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path(*parts)}: not UTF-8 text ({error})") from error

    def lines(self, *parts: str) -> list[str]:
        """Stripped non-empty lines of a UTF-8 text file."""
        return [line for raw in self.read_text(*parts).splitlines() if (line := raw.strip())]

    def names(self, *parts: str) -> list[str]:
        """Sorted names of the folder's entries; empty if there is no such folder."""
        path = self.path(*parts)
        try:
            if not is_url(path):
                return sorted(entry.name for entry in Path(path).iterdir())
            with asking(path):
                filesystem, inner = open_filesystem(path)
                return sorted(str(entry).rstrip("/").rpartition("/")[2] for entry in filesystem.ls(inner, detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def files(self) -> list[str]:
        """Sorted paths, relative to this folder and with "/", of all files below it."""
        if not is_url(self.url):
            return sorted(path.relative_to(self.url).as_posix() for path in _walk(Path(self.url)))
        return sorted(self._found())

    def sizes(self, *suffixes: str) -> dict[str, int]:
        """Bytes of all files below this folder whose name ends with one of `suffixes`, by relative path, sorted."""
        if not is_url(self.url):
            found = [(name, Path(self.url, name).stat().st_size) for name in self.files() if name.endswith(suffixes)]
            return dict(found)
        told = self._found()
        return {name: int(told[name]["size"] or 0) for name in sorted(told) if name.endswith(suffixes)}

    def _found(self) -> dict[str, Mapping[str, Any]]:
        """What an object store tells of all files below this folder, by relative path."""
        with asking(self.url):
            filesystem, inner = open_filesystem(self.url)
            listing = filesystem.find(inner, detail=True)
            return {str(path).partition(inner.strip("/"))[2].lstrip("/"): info for path, info in listing.items()}


def _walk(top: Path) -> Iterator[Path]:
    """Files below `top`, links to folders followed, each folder once: links may lead in circles."""
    seen: set[tuple[int, int]] = set()
    for folder, inner, names in os.walk(top, followlinks=True):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            inner.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield from (Path(folder, name) for name in names)


def open_filesystem(url: str, **defaults: Any) -> tuple[Any, str]:
    """The fsspec file system behind a URL, with the user's options for its protocol laid over `defaults`; and the path
    in it. Raises InputError for a protocol or options that can not be used."""
    import fsspec  # here, because local data sets need neither it nor its import time

    protocol = url.partition("://")[0]
    try:
        if protocol in ("s3", "s3a"):
            count_botocores()
        filesystem, inner = fsspec.core.url_to_fs(url, **{**defaults, **storage_options(protocol)})
    except ImportError as error:
        raise InputError(f"{url}: cannot use {protocol}:// ({error}); {how_to_install(protocol)}") from error
    except (ValueError, TypeError, OSError) as error:  # the last: some connect at once
        advice = advice_on(url, error) or f"install its package, or check the URL and {OPTIONS_VARIABLE}"
        raise InputError(f"{url}: cannot use {protocol}:// ({error}); {advice}") from error
    return filesystem, str(inner)


def storage_options(protocol: str) -> dict[str, Any]:
    """The user's fsspec options for a protocol ("s3"), from the file that the environment names; {} without one.

    A protocol's name over a mapping holds options for its URLs alone, every other key goes to all protocols:
    {"s3": {"endpoint_url": ...}, "gs": {"token": ...}}. Raises InputError for a file that is no such mapping.
    """
    from fsspec import available_protocols

    path = os.environ.get(OPTIONS_VARIABLE)
    options = _read_options(path) if path else {}
    named = {name for name, value in options.items() if isinstance(value, Mapping) and name in available_protocols()}
    common = {name: value for name, value in options.items() if name not in named}
    return {**common, **options[protocol]} if protocol in named else common


@lru_cache(maxsize=1)
def _read_options(path: str) -> Mapping[str, Any]:
    """Read once a process, not once an image."""
    return read_mapping(path, f"{OPTIONS_VARIABLE}={path}", "of fsspec options")
