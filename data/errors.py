"""The one error that a user's input can cause, and the words that make it helpful."""

import difflib
from collections.abc import Collection, Iterable


class InputError(Exception):
    """Bad input from the user.

    The message names the file or field, says what is wrong and what to do. The command line prints it without a
    traceback and exits with status 2.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word: "; did you mean 'x'?" or the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(names)}"


def some(names: Collection[str], limit: int = 5) -> str:
    """The first few of many names for a message: "a, b, c and 12 more"."""
    shown = ", ".join(list(names)[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
