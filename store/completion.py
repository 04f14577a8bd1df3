"""Completion records: what makes a shard of a stage exist. Written last, withdrawn first."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np

from store.documents import CHECKSUM, check_seal, parse_object, sealed_bytes
from store.layout import DONE
from store.objects import Objects
from store.shards import checksum

FORMAT = 1
"""Version of the records' format."""
UPSTREAM = "upstream"
"""Reason of an image whose upstream stage failed; alone it does not change the exit status."""

_BATCH = 256


@dataclass(frozen=True)
class ImageOutcome:
    """What became of one image: status 1 done or 2 failed, the reason if failed, seconds of work."""

    id: str
    status: int
    reason: str
    seconds: float

    @property
    def failed_by_itself(self) -> bool:
        """And not for what failed upstream."""
        return self.status != DONE and self.reason != UPSTREAM


@dataclass(frozen=True)
class WrittenObject:
    """Size in bytes and crc32c (hexadecimal) of an object of the shard."""

    size: int
    crc32c: str

    @classmethod
    def of(cls, data: bytes) -> "WrittenObject":
        """Of the bytes about to be written."""
        return cls(len(data), checksum(data))


@dataclass(frozen=True)
class Completion:
    """Images [first, stop) of a stage are whole.

    fingerprint: of the stage that wrote them; records of another stage identity count for nothing.
    objects: every object of the shard by key. run, host, written: the run that wrote it, where and when (UTC).
    digest: of the images' ids and sizes (`data.records.image_digest`): whose rows these are. "": of an older version.
    """

    fingerprint: str
    first: int
    stop: int
    images: tuple[ImageOutcome, ...]
    objects: dict[str, WrittenObject]
    run: str = ""
    host: str = ""
    written: str = ""
    digest: str = ""

    def encode(self) -> bytes:
        """As JSON, sealed."""
        return sealed_bytes({"format": FORMAT, **asdict(self)})

    @classmethod
    def decode(cls, data: bytes) -> "Completion | None":
        """From JSON; None if it is no whole record (it then counts as missing)."""
        try:
            raw = parse_object(data)
            check_seal(raw)
            sealed = raw.pop(CHECKSUM, None) is not None
            raw.pop("format")
            images = tuple(ImageOutcome(**image) for image in raw.pop("images"))
            objects = {key: WrittenObject(**value) for key, value in raw.pop("objects").items()}
            record = cls(images=images, objects=objects, **raw)
            whole = record.encode() == data if sealed else len(images) == record.stop - record.first
            return record if whole and 0 <= record.first < record.stop else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def statuses(self) -> np.ndarray:
        """(stop - first,) uint8."""
        return np.array([image.status for image in self.images], np.uint8)

    def written_at(self) -> float:
        """Seconds since the epoch; 0 if not noted."""
        return datetime.fromisoformat(self.written).timestamp() if self.written else 0.0


def record_key(group: str, first: int, stop: int) -> str:
    """Object key of the record of images [first, stop)."""
    return f"{group}/records/{first}-{stop}.json"


class Recorded(NamedTuple):
    """A completion record by what a listing says: its key, the last image plus one by its name, its bytes."""

    key: str
    stop: int
    size: int


def recorded_shards(objects: Objects, group: str, shard: int) -> dict[int, Recorded]:
    """Shard index -> its widest record, from a listing alone."""
    found: dict[int, Recorded] = {}
    for key, size in objects.entries(f"{group}/records"):
        first, _, stop = key.rsplit("/", 1)[-1].removesuffix(".json").partition("-")
        if key.endswith(".json") and first.isdecimal() and stop.isdecimal() and int(first) % shard == 0:
            index = int(first) // shard
            if index not in found or found[index].stop < int(stop):
                found[index] = Recorded(key, int(stop), size)
    return found


def read_completions(objects: Objects, keys: Iterable[str]) -> Iterator[Completion]:
    """Whole records among `keys`, read some hundred at a time so that memory stays flat."""
    batch: list[str] = []
    for key in keys:
        batch.append(key)
        if len(batch) == _BATCH:
            yield from _decoded(objects, batch)
            batch = []
    yield from _decoded(objects, batch)


def _decoded(objects: Objects, keys: list[str]) -> Iterator[Completion]:
    for data in objects.read_many(keys).values():
        record = Completion.decode(data)
        if record is not None:
            yield record
