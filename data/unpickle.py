"""Pickles from users: plain values and arrays of numbers and text only. Nothing in one can run a command, open a file,
or have memory read under a false type."""

import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import EnumMeta
from typing import IO, Any

import numpy as np

from data.errors import InputError

PLAIN_KINDS = frozenset("biufcSU")
"""Kinds of dtypes that are admitted: numbers, truth values, text; no objects, records or dates."""


class PlainDtype:
    """Stands for a numpy.dtype of a pickle: its kind and byte order are taken, whatever else the pickle says of it."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.dtype = np.dtype(name.decode("ascii") if isinstance(name, bytes) else str(name))
        if self.dtype.kind not in PLAIN_KINDS or self.dtype.hasobject or self.dtype.subdtype is not None:
            raise pickle.UnpicklingError(f"it holds an array of type {self.dtype}; only numbers and text are admitted")

    def __setstate__(self, state: Any) -> None:
        order, subdtype, names, fields = state[1:5]
        if subdtype is not None or names is not None or fields is not None:
            raise pickle.UnpicklingError("it holds a structured array; only numbers and text are admitted")
        self.dtype = np.dtype((order.decode("ascii") if isinstance(order, bytes) else order) + self.dtype.str[1:])


class PlainArray(np.ndarray):
    """An array whose content comes from a pickle."""

    def __setstate__(self, state: Any) -> None:
        _, shape, given, fortran, raw = state
        sides, dtype = _checked(raw, given, shape)
        super().__setstate__((1, sides, dtype, bool(fortran), _bytes(raw)))  # type: ignore[arg-type]


def _checked(raw: Any, given: Any, shape: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an array. Raises UnpicklingError unless its bytes are just what they call for."""
    if not isinstance(given, PlainDtype) or not all(isinstance(side, int) and side >= 0 for side in shape):
        raise pickle.UnpicklingError("it holds an array without a plain type and shape")
    if len(_bytes(raw)) != given.dtype.itemsize * math.prod(shape):
        raise pickle.UnpicklingError("it holds an array whose bytes are not what its type and shape call for")
    return tuple(shape), given.dtype


def _bytes(raw: Any) -> bytes:
    if isinstance(raw, str):  # Python 2's
        return raw.encode("latin1")
    if not isinstance(raw, bytes | bytearray | pickle.PickleBuffer):
        raise pickle.UnpicklingError("it holds an array of objects; only numbers and text are admitted")
    return bytes(raw)


def _reconstruct(*_: Any) -> np.ndarray:
    return np.ndarray.__new__(PlainArray, (0,), np.int8)


def _frombuffer(raw: Any, given: Any, shape: Any, order: str = "C", *_: Any) -> np.ndarray:
    sides, dtype = _checked(raw, given, shape)
    return np.frombuffer(_bytes(raw), dtype).reshape(sides, order="F" if order == "F" else "C")


def _scalar(given: Any, raw: Any) -> Any:
    return np.frombuffer(_bytes(raw), _checked(raw, given, ())[1])[0]


def _empty(*given: Any) -> bytes:
    """How protocols before 3 write empty bytes."""
    if given:
        raise pickle.UnpicklingError("it makes bytes of something")
    return b""


def _member(owner: Any, name: Any) -> Any:
    """How Python 3.11's first releases write a member of an enumeration."""
    if not isinstance(owner, EnumMeta) or name not in owner.__members__:
        raise pickle.UnpicklingError(f"it asks for the attribute {name!r} of something")
    return owner[name]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 writes bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it encodes text as {encoding}")
    return text.encode("latin1")


ADMITTED: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "numpy.ndarray",  # an argument only: it is never called
    ("numpy", "dtype"): PlainDtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
    **{(builtins, "bytes"): _empty for builtins in ("builtins", "__builtin__")},
    **{(builtins, "getattr"): _member for builtins in ("builtins", "__builtin__")},
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
}
"""What a pickle may name -> what it gets."""


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, stream: IO[bytes], stand_ins: Mapping[tuple[str, str], Callable[..., Any]]) -> None:
        super().__init__(stream, encoding="latin1")  # arrays pickled by Python 2 are read as well
        self.known = {**ADMITTED, **stand_ins}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.known:
            return self.known[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}; only plain values and numpy arrays are admitted")


def _refuse_false_sizes(stream: IO[bytes]) -> None:
    """The unpickler makes room for whatever number stands in a few bytes: for memory places, and for byte arrays.

    Places are counted up, one after the other; lengths are held against what follows by the reader of the opcodes.
    """
    for count, (opcode, value, _) in enumerate(pickletools.genops(stream), 1):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(value, int) and value > count:
            raise pickle.UnpicklingError(f"it asks for {value} places in memory")


def load_plain(
    stream: IO[bytes], where: str, stand_ins: Mapping[tuple[str, str], Callable[..., Any]] | None = None
) -> Any:
    """The content of a pickle of plain values and numpy arrays of numbers and text.

    where: the file's name for messages. stand_ins: what to call instead of a (module, name) of the pickle.
    Raises InputError if it is damaged or asks for anything else.
    """
    try:
        _refuse_false_sizes(stream)
        stream.seek(0)
        return _PlainUnpickler(stream, stand_ins or {}).load()
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(
            f"{where}: refused, not a pickle of plain values and numpy arrays ({str(error) or type(error).__name__})"
        ) from error
