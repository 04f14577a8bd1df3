"""The structure of a MATLAB 5 file, checked before scipy's C code reads it: that code trusts sizes and types, and a
damaged file would end the process.

A file is 128 bytes of header and then elements: a tag (type, bytes), the data, padding to 8 bytes. Variables are
elements `matrix`, alone or within a compressed one; a matrix holds flags, dimensions, its name and, by its class,
numbers, text or further matrices.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple

HEADER = 128
MATRIX, COMPRESSED = 14, 15
BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
"""Bytes of a number by the type of its element: int8, uint8, int16, uint16, int32, uint32, single, double, 64 bits."""
TEXT = {**BYTES, 16: 1, 17: 2, 18: 4}
"""The same with UTF-8, UTF-16 and UTF-32."""
INT8, INT32, UINT32, UTF8 = 1, 5, 6, 16
CELL, STRUCT, CHAR, SPARSE = 1, 2, 4, 5
NUMBERS = range(6, 16)
"""Classes of matrices of numbers, from double to uint64."""
COMPLEX = 0x800
DEEPEST, LARGEST = 8, 1 << 31
"""Matrices within matrices; bytes of a variable when unpacked, and elements of a matrix."""


class _Element(NamedTuple):
    kind: int
    data: memoryview


def check_structure(content: bytes, wanted: Sequence[str]) -> list[str] | None:
    """Names of the variables of a MATLAB 5 file; of those that are `wanted` all parts fit together.

    None for a file of another version. Raises ValueError for one that is damaged.
    """
    if len(content) < HEADER or 0 in content[:4] or content[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
        return None
    order = "<" if content[126:128] == b"IM" else ">"
    names = []
    for element in _elements(memoryview(content)[HEADER:], order):
        if element.kind == COMPRESSED:
            (element,) = _elements(memoryview(_unpacked(element.data)), order)
        names.append(_check_matrix(element, order, wanted))
    return names


def _unpacked(data: memoryview) -> bytes:
    machine = zlib.decompressobj()
    try:
        content = machine.decompress(data, LARGEST)
    except zlib.error as error:
        raise ValueError(f"a compressed variable is damaged: {error}") from error
    if not machine.eof:
        raise ValueError("a compressed variable is cut short or too large")
    return content


def _elements(data: memoryview, order: str) -> Iterator[_Element]:
    """The elements that follow each other in `data`."""
    place = 0
    while place < len(data):
        if place + 8 > len(data):
            raise ValueError("it is cut short within a tag")
        kind, size = struct.unpack_from(f"{order}II", data, place)
        start = place + 8
        if kind >> 16:  # a short element: the size in the upper half, up to four bytes of data behind
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            if size > 4:
                raise ValueError("a short element is too long")
            place += 8
        else:
            place = start + (size if kind == COMPRESSED else -(-size // 8) * 8)
        if start + size > len(data):
            raise ValueError("it is cut short within a variable")
        yield _Element(kind, data[start : start + size])


def _check_matrix(element: _Element, order: str, wanted: Sequence[str] | None, depth: int = 0) -> str:
    """The name of a matrix; its content is checked where its name is wanted (None: in any case)."""
    if element.kind != MATRIX or depth > DEEPEST:
        raise ValueError("an element is no variable, or is nested too deeply")
    if not len(element.data):
        return ""  # an empty cell
    parts = _elements(element.data, order)
    try:
        flags, dimensions, name = next(parts), next(parts), next(parts)
    except StopIteration:
        raise ValueError("a variable lacks its flags, dimensions or name") from None
    if (
        flags.kind != UINT32
        or len(flags.data) != 8
        or dimensions.kind not in (INT32, UINT32)
        or name.kind not in (INT8, UTF8)
    ):
        raise ValueError("a variable's flags, dimensions or name are of another type")
    sides = struct.unpack(f"{order}{len(dimensions.data) // 4}i", dimensions.data)
    count = prod(sides)
    if not 2 <= len(sides) <= 32 or min(sides) < 0 or count > LARGEST:
        raise ValueError(f"a variable's dimensions are {sides}")
    text = bytes(name.data).decode("latin1")
    if wanted is None or text in wanted:
        (word,) = struct.unpack_from(f"{order}I", flags.data)
        _check_content(list(parts), word, count, order, depth)
    return text


def _check_content(parts: Sequence[_Element], flags: int, count: int, order: str, depth: int) -> None:
    """What follows the name of a matrix of `count` elements."""
    kind = flags & 0xFF
    if kind in NUMBERS:
        expected = 2 if flags & COMPLEX else 1
        if len(parts) != expected or any(p.kind not in BYTES or len(p.data) != count * BYTES[p.kind] for p in parts):
            raise ValueError("a variable's numbers do not fit its dimensions")
    elif kind == CHAR:
        if len(parts) != 1 or parts[0].kind not in TEXT or len(parts[0].data) % TEXT[parts[0].kind]:
            raise ValueError("a variable's text is damaged")
    elif kind == SPARSE:
        expected = 4 if flags & COMPLEX else 3
        if len(parts) != expected or any(p.kind not in BYTES or len(p.data) % BYTES[p.kind] for p in parts):
            raise ValueError("a sparse variable lacks its indices or numbers")
    elif kind in (CELL, STRUCT):
        inner = list(parts)
        if kind == STRUCT:
            count *= _fields(inner[:2], order)
            inner = inner[2:]
        if len(inner) != count:
            raise ValueError(f"a cell or struct has {len(inner)} parts, not {count}")
        for part in inner:
            _check_matrix(part, order, None, depth + 1)
    else:
        raise ValueError("a variable is neither numbers nor text, cell or struct")


def _fields(parts: Sequence[_Element], order: str) -> int:
    """Number of a struct's fields, from the length of a name and all names."""
    if len(parts) < 2 or (parts[0].kind, len(parts[0].data)) != (INT32, 4) or parts[1].kind != INT8:
        raise ValueError("a struct lacks the names of its fields")
    (length,) = struct.unpack(f"{order}i", parts[0].data)
    if length < 1 or len(parts[1].data) % length:
        raise ValueError("a struct's names of fields are damaged")
    return len(parts[1].data) // length
