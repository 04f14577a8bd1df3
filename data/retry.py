"""Requests to object stores: which errors may pass, and for how long they are tried again."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

RETRY_DELAYS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between attempts: about a minute in all."""

_PERMANENT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
_MISUSE = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "NoRegionError", "ParamValidationError"}
)
"""Names of botocore's errors that come before any request."""
_CLIENT_LIBRARIES = frozenset({"aiobotocore", "aiohttp", "botocore", "gcsfs", "azure", "urllib3"})


class UnreachableError(Exception):
    """No attempt succeeded. The message: "after 9 attempts in 61 s: " and the last error."""


def retried(action: Callable[[], T]) -> T:
    """The result of `action`, tried again while its error may pass: connection and server errors.

    Missing objects, lack of rights and bugs are raised at once and as they are, the others as UnreachableError in the
    end.
    """
    for delay in (*RETRY_DELAYS, None):
        try:
            return action()
        except Exception as error:
            if not _may_pass(error):
                raise
            if delay is None:
                raise UnreachableError(
                    f"after {len(RETRY_DELAYS) + 1} attempts in {sum(RETRY_DELAYS):.0f} s: "
                    f"{type(error).__name__}: {error}"
                ) from error
            time.sleep(delay)
    raise AssertionError("unreachable")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, _PERMANENT) or type(error).__name__ in _MISUSE:
        return False
    library = type(error).__module__.split(".")[0]
    return isinstance(error, OSError | TimeoutError) or library in _CLIENT_LIBRARIES
