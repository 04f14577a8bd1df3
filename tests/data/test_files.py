"""Places that can not be reached: whatever the client of an object store raises becomes one sentence with the place."""

from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from data.catalog import load_images
from data.errors import InputError
from data.files import Folder
from store.storage import open_objects


class NoCredentialsError(Exception):
    """As botocore's: of no standard type."""


class Unreachable(MemoryFileSystem):
    """Fails at one method, told by `failing`, with `error`."""

    protocol = "unreachable"
    cachable = False
    failing = ""
    error: Exception = NoCredentialsError("Unable to locate credentials")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        if type(self).failing == "connect":
            raise type(self).error
        super().__init__(*arguments, **options)

    def __getattribute__(self, name: str) -> Any:
        if name == type(self).failing:
            raise type(self).error
        return super().__getattribute__(name)


@pytest.fixture(autouse=True)
def protocol() -> Iterator[None]:
    fsspec.register_implementation("unreachable", Unreachable, clobber=True)
    yield
    Unreachable.failing, Unreachable.error = "", NoCredentialsError("Unable to locate credentials")


@pytest.mark.parametrize(
    "error", [NoCredentialsError("Unable"), ConnectionRefusedError(111, "refused"), OSError("odd")]
)
@pytest.mark.parametrize(
    ("method", "use"),
    [
        ("exists", lambda folder: folder.has("a")),
        ("ls", lambda folder: folder.names("a")),
        ("find", lambda folder: folder.files()),
        ("find", lambda folder: folder.sizes(".mat")),
        ("open", lambda folder: folder.read("a")),
    ],
)
def test_the_place_and_the_reason_are_named(method: str, use: Any, error: Exception) -> None:
    Unreachable.failing, Unreachable.error = method, error
    with pytest.raises(InputError, match=rf"^unreachable://x.*{type(error).__name__}: .*; check the URL, your rights"):
        use(Folder.at("unreachable://x"))


def test_what_is_missing_is_said_to_be() -> None:
    folder = Folder.at("unreachable://x")
    assert (folder.has("a"), folder.names("a"), folder.files()) == (False, [], [])
    with pytest.raises(InputError, match=r"unreachable://x/a: no such file"):
        folder.read("a")


def test_a_store_that_refuses_the_connection_is_named() -> None:
    Unreachable.failing, Unreachable.error = "connect", ConnectionRefusedError(111, "refused")
    with pytest.raises(InputError, match=r"^unreachable://x.zarr/?: cannot use unreachable:// .*refused"):
        open_objects("unreachable://x.zarr").read("zarr.json")


@pytest.mark.parametrize("scheme", ["voc", "coco", "folder"])
@pytest.mark.parametrize("method", ["exists", "ls"])
def test_readers_refuse_such_places(scheme: str, method: str) -> None:
    Unreachable.failing = method
    with pytest.raises(InputError, match="unreachable://x"):
        load_images(f"{scheme}:unreachable://x", "train")
