"""A whole JSON file as plain values, whatever people put into it."""

import json
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.files import open_binary


def read_json(path: str | Path, cure: str) -> Any:
    """The content of a JSON file, local or behind an fsspec URL; UTF-8 (a byte-order mark is dropped), 16 or 32.

    Raises InputError that names the file, what is wrong and `cure`, what the user is to give instead.
    """
    try:
        with open_binary(path) as stream:
            return json.loads(stream.read())
    except OSError as error:
        raise InputError(f"{path}: can not be read ({error.strerror or error}); {cure}") from error
    except RecursionError as error:
        raise InputError(f"{path}: is nested too deeply to be data; {cure}") from error
    except ValueError as error:  # broken JSON, broken text, numbers of thousands of digits
        raise InputError(f"{path}: is not JSON ({error}); {cure}") from error
