"""Shard bytes equal zarr-python's, and damage is always noticed."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from store.layout import ArrayLayout, array_documents, parse_array
from store.shards import (
    DamagedError,
    check_chunk,
    decode_chunk,
    decode_index,
    encode_chunk,
    encode_shard,
    index_size,
    locate,
)

LAYOUTS = [
    ArrayLayout("g/box", (3, 4), "float32", 5, 4, packed=False),
    ArrayLayout("g/iou", (2,), "float16", 5, 4, packed=False),
    ArrayLayout("g/mask", (2, 56, 7), "uint8", 5, 4, packed=False),
    ArrayLayout("g/count", (), "int32", 5, 4, packed=True),
    ArrayLayout("g/label", (3,), "bool", 5, 4, packed=True),
    ArrayLayout("g/id", (), "str", 5, 4, packed=True),
]


def values_of(layout: ArrayLayout) -> np.ndarray:
    rng = np.random.default_rng(1)
    if layout.dtype == "str":
        return np.array(["a", "", "straße", "図", "x" * 300], object)
    return (rng.random((layout.n, *layout.row_shape)) * 200).astype(layout.dtype)


def shard_of(layout: ArrayLayout, values: np.ndarray, index: int) -> bytes:
    part = values[index * layout.shard : (index + 1) * layout.shard]
    if layout.packed:
        chunk = np.full(layout.chunk_shape, "" if layout.dtype == "str" else 0, layout.numpy_dtype)
        chunk[: len(part)] = part
        return encode_shard([encode_chunk(chunk)])
    return encode_shard([*(encode_chunk(row[None]) for row in part), *[None] * (layout.shard - len(part))])


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_bytes_equal_those_of_zarr_python(tmp_path: Path, layout: ArrayLayout) -> None:
    document = array_documents([layout])[f"{layout.name}/zarr.json"]
    path = tmp_path / layout.name / "zarr.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(document)
    assert parse_array(layout.name, document) == layout
    array = zarr.open_array(tmp_path / layout.name, mode="r+", config={"write_empty_chunks": True})
    values = values_of(layout)
    array[:] = values
    for index in range(2):
        assert (tmp_path / layout.key(index)).read_bytes() == shard_of(layout, values, index)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_zarr_python_reads_what_is_written(tmp_path: Path, layout: ArrayLayout) -> None:
    values = values_of(layout)
    objects = {f"{layout.name}/zarr.json": array_documents([layout])[f"{layout.name}/zarr.json"]}
    objects |= {layout.key(index): shard_of(layout, values, index) for index in range(2)}
    for key, data in objects.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(data)
    assert np.array_equal(zarr.open_array(tmp_path / layout.name, mode="r")[:], values)


@settings(max_examples=30, deadline=None)
@given(data=st.binary(min_size=1, max_size=400), place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_flipped_bit_of_a_chunk_is_noticed(data: bytes, place: int, bit: int) -> None:
    chunk = bytearray(encode_chunk(np.frombuffer(data, np.uint8)))
    assert decode_chunk(bytes(chunk), (len(data),), np.dtype(np.uint8)).tobytes() == data
    chunk[place % len(chunk)] ^= 1 << bit
    with pytest.raises(DamagedError):
        check_chunk(bytes(chunk))


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.none() | st.integers(0, 20), min_size=1, max_size=9))
def test_index_finds_every_chunk(sizes: list[int | None]) -> None:
    chunks = [None if size is None else bytes([slot]) * size for slot, size in enumerate(sizes)]
    shard = encode_shard(chunks)
    index = decode_index(shard[-index_size(len(chunks)) :], len(chunks))
    for slot, chunk in enumerate(chunks):
        if chunk is None:
            with pytest.raises(DamagedError, match="does not hold"):
                locate(index, slot)
        else:
            start, stop = locate(index, slot)
            assert shard[start:stop] == chunk


def test_a_cut_or_changed_index_is_noticed() -> None:
    shard = encode_shard([b"one", b"two"])
    with pytest.raises(DamagedError, match="cut off"):
        decode_index(shard[:-1][-index_size(2) + 1 :], 2)
    tail = bytearray(shard[-index_size(2) :])
    tail[3] ^= 4
    with pytest.raises(DamagedError, match="checksum"):
        decode_index(bytes(tail), 2)
