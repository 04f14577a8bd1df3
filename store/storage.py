"""From a path or URL to its objects."""

from pathlib import Path

from data.files import is_url
from store.local import LocalObjects
from store.objects import Objects
from store.remote import RemoteObjects


def open_objects(url: str) -> Objects:
    """The objects below a local path, a `file://` URL or any fsspec URL (`s3://`, `gs://`, `memory://`).

    Endpoint and keys come from the environment (`data.files.open_filesystem`), never from a command line.
    """
    if url.startswith("file://"):
        return LocalObjects(Path(url.removeprefix("file://")))
    return RemoteObjects(url) if is_url(url) else LocalObjects(Path(url))
