"""Text of many images without an object for each: one buffer and where each text ends in it."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, overload

import numpy as np

TOGETHER = 65_536
"""Texts that are held as Python objects at a time where all of them pass by."""


class Texts(Sequence[str]):
    """A sequence of n texts that can not be changed; a slice of it shares its buffer.

    buffer: their UTF-8, one behind the other. ends: (n + 1,) int64, where each begins and, last, where the last ends.
    """

    __slots__ = ("_buffer", "_ends")

    def __init__(self, buffer: bytes | bytearray, ends: np.ndarray) -> None:
        self._buffer = buffer
        self._ends = ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """Of any texts, which are asked for one at a time."""
        if isinstance(texts, Texts):
            return texts
        packed = TextPacker()
        for text in texts:
            packed.add(encoded(text))
        return packed.texts()

    @classmethod
    def joined(cls, parts: Iterable["Texts"]) -> "Texts":
        """One behind the other."""
        packed = TextPacker()
        for part in parts:
            for text in part.raw():
                packed.add(text)
        return packed.texts()

    def raw(self) -> Iterator[bytes]:
        """Their UTF-8, one after the other."""
        for first in range(0, len(self), TOGETHER):
            ends = self._ends[first : first + TOGETHER + 1].tolist()
            yield from (bytes(self._buffer[a:b]) for a, b in pairwise(ends))

    def take(self, rows: np.ndarray) -> "Texts":
        """Those at `rows` (m,), in that order."""
        starts, stops = self._ends[:-1][rows], self._ends[1:][rows]
        ends = np.concatenate([[0], np.cumsum(stops - starts)]).astype(np.int64)
        pieces = zip(starts.tolist(), stops.tolist(), strict=True)
        buffer = bytearray()
        while part := list(islice(pieces, TOGETHER)):
            buffer += b"".join([self._buffer[a:b] for a, b in part])
        return Texts(bytes(buffer), ends)

    def places(self, of: "Texts") -> np.ndarray:
        """Where each text of `of` stands here, where all differ: (m,) int64, -1 where there is none."""
        if self == of:
            return np.arange(len(self))
        mine, wanted = self._hashes(), of._hashes()
        order = np.argsort(mine, kind="stable")
        at = np.minimum(np.searchsorted(mine, wanted, sorter=order), max(0, len(order) - 1))
        found = order[at] if len(order) else np.full(len(of), -1)
        found = np.where(mine[found] == wanted, found, -1) if len(order) else found
        if _has_repeats(mine[order]) or self.take(found[found >= 0]) != of.take(np.flatnonzero(found >= 0)):
            return self._places_by_text(of)
        return found.astype(np.int64)

    def _places_by_text(self, of: "Texts") -> np.ndarray:
        """As `places`, where some are equal or two have the same hash."""
        known: dict[bytes, int] = {}
        for place, text in enumerate(self.raw()):
            known.setdefault(text, place)
        return np.fromiter((known.get(text, -1) for text in of.raw()), np.int64, len(of))

    def _hashes(self) -> np.ndarray:
        return np.fromiter(map(hash, self.raw()), np.int64, len(self))

    def firsts(self) -> np.ndarray:
        """Rows (m,) of those that no equal text stands before."""
        hashes = self._hashes()
        hashes.sort()
        if not _has_repeats(hashes):
            return np.arange(len(self))
        known: dict[bytes, int] = {}
        for place, text in enumerate(self.raw()):
            known.setdefault(text, place)
        return np.fromiter(known.values(), np.int64, len(known))

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> "Texts": ...
    def __getitem__(self, place: int | slice) -> "str | Texts":
        if isinstance(place, slice):
            first, stop, step = place.indices(len(self))
            if step != 1:
                return self.take(np.arange(first, stop, step))
            return Texts(self._buffer, self._ends[first : max(first, stop) + 1])
        n = len(self)
        if not -n <= place < n:
            raise IndexError(f"text {place} of {n}")
        start, stop = self._ends[place % n : place % n + 2].tolist()
        return decoded(self._buffer[start:stop])

    def __iter__(self) -> Iterator[str]:
        return map(decoded, self.raw())

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            if self._ends[0] == other._ends[0]:
                same = np.array_equal(self._ends, other._ends)
            else:
                same = np.array_equal(np.diff(self._ends), np.diff(other._ends))
            return same and self._content() == other._content()
        if isinstance(other, Sequence) and not isinstance(other, str):
            return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))
        return NotImplemented

    def __hash__(self) -> int:
        return hash(bytes(self._content()))

    def _content(self) -> memoryview:
        return memoryview(self._buffer)[int(self._ends[0]) : int(self._ends[-1])]

    def __reduce__(self) -> tuple[Any, ...]:
        """Of a slice only what is in it."""
        return Texts, (bytes(self._content()), self._ends - self._ends[0])

    def __repr__(self) -> str:
        return f"Texts({list(self[:3])}{' …' if len(self) > 3 else ''}, n={len(self)})"


def _has_repeats(ordered: np.ndarray) -> bool:
    return bool((ordered[1:] == ordered[:-1]).any())


class TextPacker:
    """Makes `Texts` of texts that come one after the other."""

    def __init__(self) -> None:
        self._buffer, self._ends = bytearray(), array("q", [0])

    def add(self, text: bytes) -> None:
        """Another one, in UTF-8."""
        self._buffer += text
        self._ends.append(len(self._buffer))

    def texts(self) -> Texts:
        """All that came; nothing more may come."""
        return Texts(self._buffer, np.frombuffer(self._ends, np.int64))


class Paths(Sequence[str]):
    """A sequence of n paths: of each its folder, of which there are few, and its name."""

    __slots__ = ("_folder", "_folders", "_names")

    def __init__(self, folders: tuple[str, ...], folder: np.ndarray, names: Texts) -> None:
        self._folders = folders
        self._folder = folder
        self._names = names

    @classmethod
    def of(cls, paths: Iterable[str]) -> "Paths":
        """Of any paths or URLs, which are asked for one at a time."""
        packed = PathPacker()
        for path in paths:
            packed.add(path)
        return packed.paths()

    def take(self, rows: np.ndarray) -> "Paths":
        """Those at `rows` (m,), in that order."""
        return Paths(self._folders, self._folder[rows], self._names.take(rows))

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> "Paths": ...
    def __getitem__(self, place: int | slice) -> "str | Paths":
        if isinstance(place, slice):
            return Paths(self._folders, self._folder[place], self._names[place])
        return self._folders[self._folder[place]] + self._names[place]

    def __iter__(self) -> Iterator[str]:
        return (self._folders[k] + name for k, name in zip(self._folder, self._names, strict=True))

    def __len__(self) -> int:
        return len(self._names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(self._names)

    def __reduce__(self) -> tuple[Any, ...]:
        """Of a slice only the folders that are in it."""
        used, folder = np.unique(self._folder, return_inverse=True)
        return Paths, (tuple(self._folders[k] for k in used), folder.astype(np.int32), self._names)


class PathPacker:
    """Makes `Paths` of paths that come one after the other."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._folder, self._names = array("i"), TextPacker()

    def add(self, path: str) -> None:
        """Another one."""
        where, separator, name = path.rpartition("/")
        self._folder.append(self._number.setdefault(where + separator, len(self._number)))
        self._names.add(encoded(name))

    def paths(self) -> Paths:
        """All that came; nothing more may come."""
        return Paths(tuple(self._number), np.frombuffer(self._folder, np.int32), self._names.texts())


def encoded(text: str) -> bytes:
    """As UTF-8; names of files that are none keep their bytes."""
    return text.encode(errors="surrogatepass")


def decoded(data: bytes | bytearray) -> str:
    """The inverse of `encoded`."""
    return data.decode(errors="surrogatepass")
