"""The decorator of all compiled loops: numba's `njit`, what it compiles kept on disk for the processes to come.

It lies beside the modules or, where this user can not write there, in the user's cache folder; `NUMBA_CACHE_DIR` moves
it. Where neither can be written, loops are compiled anew in every process, which is said once in each.

What is slow to compile: an array assigned to a row or slice of another (two seconds, for the text of an error that
never comes), whole-array arithmetic, tuples of arrays, `heapq`, sorting. Loops over elements are not.
"""

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """`function` compiled at its first call with arguments of some types."""
    return _compiled(function)


def inlined(function: Function) -> Function:
    """As `compiled`, and copied into the loops that call it before they are compiled."""
    return _compiled(function, inline="always")


def reordered(function: Function) -> Function:
    """As `compiled`, its sums in the order that is fastest on this kind of processor: the same bytes on one kind."""
    return _compiled(function, fastmath={"reassoc", "nsz"})


def _compiled(function: Any, **options: Any) -> Any:
    options["no_cfunc_wrapper"] = True  # nobody calls loops from C: a twentieth of the time to compile
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # numba found no folder that can be written
        _tell_once()
        return numba.njit(function, **options)


@cache
def _tell_once() -> None:
    print(
        "no folder for compiled code can be written, so each process compiles it anew, which takes half a minute; "
        "set NUMBA_CACHE_DIR to one that lasts",
        file=sys.stderr,
    )
