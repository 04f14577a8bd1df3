"""Pickles: arrays of numbers and text arrive as they were; types that lie, objects and code are refused."""

import io
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from data.errors import InputError
from data.unpickle import load_plain

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(4, dtype=">i4"),
    np.array(["a", "bär"]),
    np.array([b"x", b"yz"]),
    np.zeros((0, 4), np.float32),
    np.array([True, False]),
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: str(a.dtype))
def test_arrays_come_back(array: np.ndarray, protocol: int) -> None:
    content = {"boxes": [array, array[:1]], "score": np.float64(1.5), "more": OrderedDict(a=(1, None, "x", b"y"))}
    found = load_plain(io.BytesIO(pickle.dumps(content, protocol)), "p.pkl")
    for given, was in zip(found["boxes"], content["boxes"], strict=True):  # type: ignore[arg-type]
        np.testing.assert_array_equal(given, was)
        assert given.dtype.newbyteorder("=") == was.dtype.newbyteorder("=")
    assert found["score"] == 1.5 and found["more"] == content["more"]


class Lying:
    """Pickles as an array of `dtype` over 16 bytes that are no such thing."""

    def __init__(self, dtype: Any, raw: Any = b"\x41" * 16, shape: Any = (2,)) -> None:
        self.dtype, self.raw, self.shape = dtype, raw, shape

    def __reduce__(self) -> Any:
        start = np.zeros(2).__reduce__()
        return start[0], start[1], (1, self.shape, self.dtype, False, self.raw)


class Called:
    """Pickles as a call of numpy.ndarray."""

    def __reduce__(self) -> Any:
        return np.ndarray, ((2,), np.dtype("f8"), b"\x41" * 16)


class Attribute:
    """Pickles as an attribute of something."""

    def __reduce__(self) -> Any:
        return getattr, (np.dtype("f8"), "__reduce__")


BAD = {
    "objects over bytes": Lying(np.dtype(object)),
    "objects": np.array([{}, []], object),
    "records": np.zeros(2, [("a", "f4"), ("b", "i4")]),
    "records over bytes": Lying(np.dtype([("a", "f8")])),
    "sub-arrays": Lying(np.dtype(("f4", (2,)))),
    "dates": np.zeros(2, "datetime64[s]"),
    "void": np.zeros(2, "V8"),
    "too few bytes": Lying(np.dtype("f8"), b"\x41" * 8),
    "too many bytes": Lying(np.dtype("f8"), b"\x41" * 24),
    "negative shape": Lying(np.dtype("f8"), shape=(-2,)),
    "a list for bytes": Lying(np.dtype("f8"), [1, 2]),
    "numpy.ndarray called": Called(),
    "a function": print,
    "an attribute": Attribute(),
}


@pytest.mark.parametrize("name", BAD)
def test_what_lies_is_refused(name: str) -> None:
    for protocol in range(2, 6):
        with pytest.raises(InputError, match=r"^p\.pkl: refused, not a pickle of plain values"):
            load_plain(io.BytesIO(pickle.dumps([BAD[name]], protocol)), "p.pkl")
