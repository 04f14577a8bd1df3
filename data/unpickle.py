"""Pickles from users: plain values and numpy arrays only. Nothing admitted here can run a command or open a file."""

import pickle
from collections.abc import Callable, Mapping
from typing import IO, Any

from data.errors import InputError

ADMITTED = frozenset(
    [
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
        *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
        ("_codecs", "encode"),
        ("collections", "OrderedDict"),
    ]
)


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, stream: IO[bytes], stand_ins: Mapping[tuple[str, str], Callable[..., Any]]) -> None:
        super().__init__(stream, encoding="latin1")  # arrays pickled by Python 2 are read as well
        self.stand_ins = stand_ins

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.stand_ins:
            return self.stand_ins[module, name]
        if (module, name) in ADMITTED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}; only plain values and numpy arrays are admitted")


def load_plain(
    stream: IO[bytes], where: str, stand_ins: Mapping[tuple[str, str], Callable[..., Any]] | None = None
) -> Any:
    """The content of a pickle of plain values and numpy arrays.

    where: the file's name for messages. stand_ins: what to call instead of a (module, name) of the pickle.
    Raises InputError if it is damaged or asks for anything else.
    """
    try:
        return _PlainUnpickler(stream, stand_ins or {}).load()
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(f"{where}: refused, not a pickle of plain values and numpy arrays ({error})") from error
