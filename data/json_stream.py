"""A large JSON object read piece by piece: COCO's annotation files are some 450 MB and mostly polygons."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from data.errors import InputError

BLOCK = 1 << 22
POLYGONS = re.compile(r'"segmentation"\s*:\s*\[\s*(?:\[[^][{}"]*+\]\s*,?\s*)++\]')
"""A complete polygon list. A quoted copy inside a string cannot match: its quotes would be escaped."""
DELIMITERS = frozenset(",]}: \t\r\n")
SKIPPED = frozenset(["", *", \t\r\n"])
BLANKS = re.compile(r"[\s,]*")

decode = json.JSONDecoder().raw_decode


def top_level(stream: IO[bytes], where: str, *, polygons: bool) -> Iterator[tuple[str, Any]]:
    """(key, value) of a JSON object; for a value that is an array, one pair per element, so that little is in memory.

    polygons: False replaces every polygon list by null before it is parsed, which is several times faster.
    Raises InputError, naming `where`, if the content is not a JSON object or is cut short.
    """
    reader = _Reader(stream, where, polygons)
    reader.expect("{")
    while not reader.take("}"):
        key = reader.value()
        if not isinstance(key, str):
            raise reader.error("a key is not a string")
        reader.expect(":")
        if not reader.take("["):
            yield key, reader.value()
            continue
        while not reader.take("]"):
            yield key, reader.value()


class _Reader:
    """A window of text over the stream, refilled whenever a value does not end inside it."""

    def __init__(self, stream: IO[bytes], where: str, polygons: bool) -> None:
        self.stream, self.where, self.polygons = stream, where, polygons
        self.text, self.position, self.ended = "", 0, False
        self.utf8 = codecs.getincrementaldecoder("utf-8-sig")()

    def take(self, symbol: str) -> bool:
        """Whether `symbol` comes next (after blanks and commas); it is consumed if so."""
        self._skip()
        while self.position >= len(self.text) and not self.ended:
            self._refill(BLOCK)
            self._skip()
        found = self.text.startswith(symbol, self.position)
        self.position += found
        return found

    def expect(self, symbol: str) -> None:
        if not self.take(symbol):
            raise self.error(f"expected '{symbol}'")

    def value(self) -> Any:
        """The next JSON value."""
        if self.text[self.position : self.position + 1] in SKIPPED:
            self.take("\0")  # skips blanks, refills an empty window
        size = BLOCK
        while True:
            try:
                value, end = decode(self.text, self.position)
                if self.ended or self.text[end : end + 1] in DELIMITERS:  # else a number may go on beyond the window
                    self.position = end
                    return value
            except json.JSONDecodeError as error:
                if self.ended:
                    raise self.error(error.msg) from error
            except RecursionError as error:
                raise self.error("nested too deeply") from error
            except ValueError as error:  # a number of thousands of digits
                raise self.error("a number too long to be one") from error
            self._refill(size)
            size *= 2  # so that a file without end of a value costs linear time, too

    def error(self, what: str) -> InputError:
        excerpt = self.text[self.position : self.position + 30]
        found = f"at '{excerpt}'" if excerpt else "at its end"
        return InputError(f"{self.where}: broken JSON, {what} {found}; restore the file")

    def _skip(self) -> None:
        if match := BLANKS.match(self.text, self.position):
            self.position = match.end()

    def _refill(self, size: int) -> None:
        block = self.stream.read(size)
        self.ended = len(block) < 1
        try:
            text = self.text[self.position :] + self.utf8.decode(block, self.ended)
        except UnicodeDecodeError as error:
            raise InputError(f"{self.where}: not UTF-8 text ({error}); restore the file") from error
        self.text, self.position = text if self.polygons else POLYGONS.sub('"segmentation":null', text), 0
