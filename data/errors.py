"""The one error that a user's input can cause, and the words that make it helpful."""

import difflib
import errno
import os
import re
from collections.abc import Collection, Iterable, Iterator

LINE_BREAKS = re.compile(r"\s*\n\s*")


class InputError(Exception):
    """Bad input from the user.

    The message names the file or field, says what is wrong and what to do. The command line prints it without a
    traceback and exits with status 2. It is one line: those of other programs' messages that it holds are joined.
    """

    def __init__(self, message: str) -> None:
        super().__init__(LINE_BREAKS.sub(" ", message))


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word: "; did you mean 'x'?" or the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(names)}"


def some(names: Collection[str], limit: int = 5) -> str:
    """The first few of many names for a message: "a, b, c and 12 more"."""
    shown = ", ".join(list(names)[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


_ADVICE = {
    errno.ENOENT: "there is no such file or folder, or none can be made there; check the path, or choose another place",
    errno.ENOSPC: "no space left; free some, then run the same command again to continue",
    errno.EDQUOT: "the disk quota is used up; free some space, then run the same command again to continue",
    errno.EFBIG: "the file would be larger than the limit for files; raise it (ulimit -f), then run again to continue",
    errno.EROFS: "the file system is read-only; make it writable or choose another place",
    errno.EACCES: "permission denied; make it accessible for this user or choose another place",
    errno.EPERM: "not permitted; make it accessible for this user or choose another place",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n) or take fewer workers and loaders",
    errno.ENFILE: "the system has too many open files; end other programs, then run again to continue",
    errno.EIO: "the device reported an input/output error; check the disk, and `verify` stores on it",
    errno.ENXIO: "it is a pipe, a socket or a device; name a regular file",
    errno.ELOOP: "links lead in a circle; name a file",
    errno.ENAMETOOLONG: "the name is too long for the file system; choose a shorter one",
    errno.EISDIR: "it is a folder; name a file",
    errno.ENOTDIR: "part of the path is a file; name a folder",
    errno.ESTALE: "the network file system lost it; mount that again, then run the same command again",
    errno.ENOTCONN: "the file system is not connected any more; mount it again, then run the same command again",
    errno.EBUSY: "something else has it in use; end that, or choose another place",
    errno.EINVAL: "the file system takes no such name or size; choose another place",
    errno.EEXIST: "it exists and is no folder; choose another place",
}


MEMORY_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "insufficient memory")
"""What libraries in C and C++ call it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory (this process's or a device's) did not suffice."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in MEMORY_WORDS)


def system_advice(error: OSError) -> str | None:
    """What to do about an error of the operating system that a user can mend; None for others."""
    return _ADVICE.get(error.errno or 0)


SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What the machine lacks, whoever runs into it: never the fault of an image, a checkpoint or a peer."""

OF_A_FILE = (errno.ENOENT, errno.EINVAL, errno.EBUSY, errno.ENOTCONN)
"""What can also be a fault of ours, where it is said of no file."""


def system_cause(error: BaseException) -> OSError | None:
    """The error of the operating system that a user can mend and that `error` is, or comes from: libraries wrap a
    shortage in types of their own, or tell it in words only. None if it is none."""
    if isinstance(error, OSError) and system_advice(error) and (error.filename or error.errno not in OF_A_FILE):
        return error
    for link in _chain(error):
        if isinstance(link, OSError) and link.errno in SHORTAGES:
            return link
    for link in _chain(error):
        for number in SHORTAGES:
            if os.strerror(number).lower() in str(link).lower():
                return OSError(number, os.strerror(number))
    return None


def with_cure(error: Exception) -> str:
    """The message of `error`, and what to do about what the machine lacks if that is behind it and not said."""
    cause = system_cause(error)
    advice = None if cause is None else system_advice(cause)
    return str(error) if advice is None or advice in str(error) else f"{error}; {advice}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all those it came from or was raised in the handling of; members of groups as well."""
    waiting, seen = [error], set()
    while waiting:
        link = waiting.pop(0)
        if id(link) not in seen:
            seen.add(id(link))
            yield link
            members = link.exceptions if isinstance(link, BaseExceptionGroup) else ()
            waiting += [other for other in (link.__cause__, link.__context__, *members) if other is not None]
