"""From a path or URL to its objects."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from data.errors import InputError
from store.local import LocalObjects
from store.objects import OPTIONS_VARIABLE, Objects
from store.remote import RemoteObjects


def open_objects(url: str, storage_options: Mapping[str, Any] | None = None) -> Objects:
    """The objects below a local path, a `file://` URL or any fsspec URL (`s3://`, `gs://`, `memory://`).

    storage_options: of fsspec (endpoint, keys, ...). Without them the file named by the environment variable
    PDSL_STORAGE_OPTIONS (YAML or JSON) is read, if it is set; keys never need to stand on a command line.
    """
    if storage_options is None and "://" in url:
        storage_options = _options_of_environment()
    if url.startswith("file://"):
        return LocalObjects(Path(url.removeprefix("file://")))
    if "://" not in url:
        return LocalObjects(Path(url))
    return RemoteObjects(url, storage_options)


def _options_of_environment() -> dict[str, Any]:
    path = os.environ.get(OPTIONS_VARIABLE)
    if not path:
        return {}
    try:
        options = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{OPTIONS_VARIABLE}={path}: can not be read ({error})") from error
    if not isinstance(options, dict):
        raise InputError(f"{OPTIONS_VARIABLE}={path}: expected a mapping of fsspec options")
    return options
