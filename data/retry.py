"""Requests to object stores: which errors may pass, for how long they are tried again, and how often that was done."""

import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from data.clouds import first_line, http_status

T = TypeVar("T")

RETRY_DELAYS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between attempts: about a minute in all."""
LONGEST = 120.0
"""Seconds after which no further attempt begins: some clients try for a while themselves."""
_MAY_PASS_STATUS = (408, 425, 429)

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
    began = time.monotonic()
    for attempt, delay in enumerate((*RETRY_DELAYS, None), start=1):
        try:
            return action()
        except Exception as error:
            if not may_pass(error):
                raise
            spent = time.monotonic() - began
            if delay is None or spent > LONGEST:
                raise UnreachableError(f"after {attempt} attempts in {spent:.0f} s: {first_line(error)}") from error
            tried_again(error)
            time.sleep(delay)
    raise AssertionError("unreachable")


_counting = threading.Lock()
_retries = 0


def retries() -> int:
    """How often this process has made a request again since it began; of what clients repeat by themselves, only that
    of botocore (S3) is known."""
    return _retries


def tried_again(error: object) -> None:
    """Count a request of this process that brought `error` and is made again; an error that stays does not count."""
    if isinstance(error, Exception) and may_pass(error):
        _count()


def _count() -> None:
    global _retries
    with _counting:
        _retries += 1


@lru_cache(maxsize=1)
def count_botocores() -> None:
    """From now on, what clients of S3 that this process makes try again by themselves counts as well."""
    import botocore

    botocore.register_initializer(lambda session: session.register("needs-retry.s3", _ended))


def _ended(attempts: int, **of_request: Any) -> None:
    """Botocore tells of each attempt's end, the first one's too."""
    if attempts > 1:
        _count()


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, _PERMANENT) or type(error).__name__ in _MISUSE:
        return False
    status = http_status(error)
    if status is not None and status < 500:
        return status in _MAY_PASS_STATUS
    library = type(error).__module__.split(".")[0]
    return isinstance(error, OSError | TimeoutError) or library in _CLIENT_LIBRARIES
