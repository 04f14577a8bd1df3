"""Plain requests for ranges of objects on S3: the same bytes as by its client, or none at all."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.engine.s3 import BUCKET, s3_server
from store.direct import DirectReader
from store.objects import Objects
from store.remote import RemoteObjects
from store.storage import open_objects

DATA = bytes(range(256))
RANGES = [("a b/0", 3, 7), ("a b/0", -4, None), ("c", 250, None), ("c", 0, 256)]
EXPECTED = [DATA[3:7], DATA[-4:], DATA[250:], DATA]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with s3_server(tmp_path_factory.mktemp("served")):
        yield


@pytest.fixture
def objects(served: None) -> RemoteObjects:
    found = open_objects(f"s3://{BUCKET}/direct.zarr")
    assert isinstance(found, RemoteObjects)
    found.write_many([("a b/0", DATA), ("c", DATA)])
    return found


def reader_of(objects: RemoteObjects) -> DirectReader:
    return DirectReader(objects._fs, objects._root)


def test_ranges_of_all_kinds(objects: RemoteObjects) -> None:
    reader = reader_of(objects)
    assert reader.read(RANGES) == reader.read(RANGES * 20)[:4] == EXPECTED


def test_objects_ask_for_ranges_so_and_not_by_the_client(
    objects: RemoteObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unexpected(*given: object, **options: object) -> None:
        raise AssertionError("by the client")

    monkeypatch.setattr(objects._fs, "cat_ranges", unexpected)
    monkeypatch.setattr(objects._fs, "cat_file", unexpected)
    assert objects.read_ranges(RANGES) == EXPECTED


def test_a_missing_object_is_left_to_the_client(objects: RemoteObjects) -> None:
    assert objects.read_ranges([*RANGES, ("gone", 0, 3)]) == [*EXPECTED, None]
    assert objects.read_ranges(RANGES) == EXPECTED


@pytest.mark.parametrize("answer", [None, b"", b"too long for the range", ConnectionResetError("gone")])
def test_after_a_strange_answer_all_goes_through_the_client_for_a_while(
    objects: RemoteObjects, answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def strange(*given: object) -> object:
        calls.append(1)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(DirectReader, "_answer", strange)
    assert objects.read_ranges(RANGES) == EXPECTED
    before = len(calls)
    assert objects.read_ranges(RANGES) == EXPECTED and len(calls) == before
    assert objects._direct is not None and objects._direct.rests()
    objects._direct._rests_until = 0.0
    assert objects.read_ranges(RANGES) == EXPECTED and len(calls) > before, "tried anew after a while"


def test_a_connection_that_the_server_closed_is_made_again(objects: RemoteObjects) -> None:
    reader = reader_of(objects)
    assert reader.read(RANGES) == EXPECTED
    list(reader._threads.map(lambda _: reader._own.__dict__.get("connection") and reader._own.connection.close(), "12"))
    assert reader.read(RANGES) == EXPECTED and not reader.rests()


def test_wrong_credentials_are_the_clients_to_tell(objects: RemoteObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of(objects)
    monkeypatch.setattr("store.direct._credentials", lambda filesystem: _Wrong())
    assert reader.read(RANGES) == [None] * 4


class _Wrong:
    access_key, secret_key, token = "nobody", "knows", None


def test_an_address_is_signed_anew_before_it_expires(objects: RemoteObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, signed = reader_of(objects), []
    real = reader._sign
    monkeypatch.setattr(reader, "_sign", lambda key: signed.append(key) or real(key))
    reader.read(RANGES)
    reader.read(RANGES)
    assert sorted(signed) == ["a b/0", "c"]
    monkeypatch.setattr("store.direct.time.monotonic", lambda: 1e12)
    reader.read(RANGES)
    assert len(signed) == 4


def test_behind_a_proxy_the_client_asks(objects: RemoteObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of(objects)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert reader.read(RANGES) == [None] * 4
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert reader_of(objects).read(RANGES) == EXPECTED


def test_it_stays_in_its_process(objects: RemoteObjects) -> None:
    """Threads do not survive a fork; nor do they travel."""
    assert objects.read_ranges(RANGES) == EXPECTED
    child = os.fork()
    if not child:
        os._exit(0 if not objects._direct or not objects._direct.is_mine() else 1)
    assert os.waitpid(child, 0)[1] == 0
    travelled: Objects = pickle.loads(pickle.dumps(objects))
    assert travelled.read_ranges(RANGES) == EXPECTED


def test_not_for_folders_nor_other_protocols(tmp_path: Path) -> None:
    memory = open_objects("memory://direct.zarr")
    memory.write("c", DATA)
    assert memory.read_ranges(RANGES[2:]) == EXPECTED[2:]
    assert isinstance(memory, RemoteObjects) and memory._direct is None
