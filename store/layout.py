"""Shapes, chunks and keys of the store's arrays, fixed before any task runs."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.errors import InputError
from store.described import IMAGE, describe
from store.shards import ZSTD_LEVEL

FORMAT = 2
"""Version of the store's format; raised when an older reader could misread a newer store."""
READABLE = (1, FORMAT)
"""Those that this program reads and continues. 1: the image list in shards of the stages' size, no summaries."""

_OWN_KEY = re.compile(
    r"(?:zarr\.json|lock\.json|[^/]+/(?:zarr\.json|lock(?:-\d+-\d+)?\.json|records/\d+-\d+\.(?:json|summary)|[^/]+/(?:zarr\.json|c(?:/\d+)+)))"
    r"(?:\.[0-9a-f]{32}\.partial)?"
)

STATUS = "status"
PENDING, DONE, FAILED = 0, 1, 2
IMAGE_ARRAYS = IMAGE_ID, IMAGE_SIZE, IMAGE_LABEL = "images/id", "images/size", "images/label"
"""Arrays of the image list."""


def is_own_key(key: str) -> bool:
    """Whether a store writes objects of such a name; whatever else lies below its URL is the user's."""
    return _OWN_KEY.fullmatch(key) is not None


@dataclass(frozen=True)
class ArrayLayout:
    """One array: shape (n, *row_shape), in shards of `shard` images.

    packed: one inner chunk holds all images of a shard (scalars); otherwise one inner chunk per image.
    dtype: numpy name, or "str" for variable-length text.
    """

    name: str
    row_shape: tuple[int, ...]
    dtype: str
    n: int
    shard: int
    packed: bool

    @property
    def group(self) -> str:
        """The stage, or `images`, that it belongs to."""
        return self.name.split("/")[0]

    @property
    def slots(self) -> int:
        """Inner chunks in a shard."""
        return 1 if self.packed else self.shard

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Shape of an inner chunk."""
        return (self.shard if self.packed else 1, *self.row_shape)

    @property
    def numpy_dtype(self) -> np.dtype:
        """The dtype in memory; object for text."""
        return np.dtype(object) if self.dtype == "str" else np.dtype(self.dtype)

    def key(self, index: int) -> str:
        """Object key of shard `index`."""
        return "/".join([self.name, "c", str(index), *["0"] * len(self.row_shape)])

    def shard_of_key(self, key: str) -> int | None:
        """The inverse of `key`: a shard's index, or None for keys that are no shard of this array."""
        parts = key.removeprefix(f"{self.name}/c/").split("/")
        return int(parts[0]) if key.startswith(f"{self.name}/c/") and parts[0].isdecimal() else None


IMAGES_A_SHARD = 16_384
"""Of the image list, which a client writes and reads as a whole: a few objects for a list of any length."""
LARGEST_LABELS = 2**24
"""Bytes of a chunk of labels, before compression."""


def image_shard(classes: int) -> int:
    """Images a shard of the arrays of a new image list with so many classes, whatever its length and the stages'
    shards: a list that grew is stored as one that was long from the beginning."""
    return max(1, min(IMAGES_A_SHARD, LARGEST_LABELS // max(1, classes)))


def image_layouts(n: int, classes: int, shard: int) -> tuple[ArrayLayout, ...]:
    """images/id, images/size, images/label, in shards of `shard` images."""
    return (
        ArrayLayout(IMAGE_ID, (), "str", n, shard, packed=True),
        ArrayLayout(IMAGE_SIZE, (2,), "int32", n, shard, packed=True),
        ArrayLayout(IMAGE_LABEL, (classes,), "bool", n, shard, packed=True),
    )


def array_documents(layouts: Iterable[ArrayLayout]) -> dict[str, bytes]:
    """zarr.json of each array by object key, as zarr-python writes them."""
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec
    from zarr.storage import MemoryStore

    documents: dict[str, Any] = {}
    template = MemoryStore(documents)
    keys = {}
    for layout in layouts:
        described = describe(layout.name, len(layout.row_shape))
        zarr.create_array(
            template,
            name=layout.name,
            shape=(layout.n, *layout.row_shape),
            dtype=str if layout.dtype == "str" else layout.dtype,
            chunks=layout.chunk_shape,
            shards=(layout.shard, *layout.row_shape),
            compressors=[ZstdCodec(level=ZSTD_LEVEL), Crc32cCodec()],
            dimension_names=[IMAGE, *described.dimensions],
            attributes=dict(described.attributes),
        )
        keys[f"{layout.name}/zarr.json"] = layout
    return {key: bytes(documents[key].to_bytes()) for key in keys}


def parse_array(name: str, document: bytes) -> ArrayLayout:
    """The layout an array's zarr.json describes. Raises InputError if the engine did not write it."""
    try:
        meta = json.loads(document)
        (codec,) = meta["codecs"]
        inner = codec["configuration"]
        names = [c["name"] for c in inner["codecs"]]
        kind = "str" if meta["data_type"] == "string" else np.dtype(meta["data_type"]).name
        if names != ["vlen-utf8" if kind == "str" else "bytes", "zstd", "crc32c"]:
            raise ValueError(f"codecs {names}")
        n, *row_shape = (int(side) for side in meta["shape"])
        shard = int(meta["chunk_grid"]["configuration"]["chunk_shape"][0])
        if min(n, shard, *row_shape, 1) < 0 or not shard:
            raise ValueError(f"shape {meta['shape']} in shards of {shard}")
        packed = inner["chunk_shape"][0] == shard
        return ArrayLayout(name, tuple(row_shape), kind, int(n), shard, packed)
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        raise InputError(f"{name}: not an array as this engine writes them ({error})") from error
