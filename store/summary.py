"""Summaries of completion records, a thousand shards each, so that nobody has to read all records again.

A summary is derived from records and is never more than they are: it counts for a shard as long as the shard's record
is there, of the size that it had. Whoever is about to change a shard first removes every summary that speaks of it, and
writes one again, from the records, when all its shards are whole. Killed in between, the records are read instead. A
run writes summaries of shards that it holds alone, and may remove any: runs of several parts at once do no harm.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from typing import TYPE_CHECKING

from store.completion import ImageOutcome, Recorded, record_key, recorded_shards
from store.documents import CHECKSUM, check_seal, parse_object, sealed_bytes
from store.objects import Objects
from store.outcomes import ShardOutcome

if TYPE_CHECKING:
    from store.store import Store

SUFFIX = ".summary"
FORMAT = 1
BLOCK = 1024
"""Shards of a summary at most; it begins at a multiple of it, or where the run that wrote it began."""


@dataclass(frozen=True)
class Summary:
    """Shards of a stage one behind the other, all of them whole.

    fingerprint: of the stage. images: digest of the store's image list. shards: what became of each. sizes: bytes of
    each one's record.
    """

    fingerprint: str
    images: str
    shards: tuple[ShardOutcome, ...]
    sizes: tuple[int, ...]

    def encode(self) -> bytes:
        """As JSON, sealed."""
        rows = [
            [s.first, s.stop, s.seconds, s.bytes, s.host, s.written, *s.slowest, size]
            for s, size in zip(self.shards, self.sizes, strict=True)
        ]
        undone = [
            [row, image.id, image.status, image.reason, image.seconds]
            for shard in self.shards
            for row, image in shard.undone.items()
        ]
        stated = {"format": FORMAT, "fingerprint": self.fingerprint, "images": self.images}
        return sealed_bytes({**stated, "shards": rows, "undone": undone})

    @classmethod
    def decode(cls, data: bytes) -> "Summary | None":
        """From JSON; None if it is no whole summary (it then counts for nothing)."""
        try:
            raw = parse_object(data)
            check_seal(raw)
            if CHECKSUM not in raw or raw["format"] != FORMAT:
                return None
            shards, sizes, undone = [], [], {row: ImageOutcome(*rest) for row, *rest in raw["undone"]}
            for first, stop, seconds, size, host, written, slowest, longest, record in raw["shards"]:
                own = {row: undone[row] for row in range(first, stop) if row in undone}
                shards.append(ShardOutcome(first, stop, own, seconds, size, host, written, (slowest, longest)))
                sizes.append(record)
            found = cls(raw["fingerprint"], raw["images"], tuple(shards), tuple(sizes))
            return found if found.encode() == data else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def summary_keys(objects: Objects, group: str) -> list[tuple[str, int, int]]:
    """(key, first image, last plus one) of every summary of a stage, whole or not."""
    found = []
    for key, _ in objects.entries(f"{group}/records"):
        first, _, stop = key.rsplit("/", 1)[-1].removesuffix(SUFFIX).partition("-")
        if key.endswith(SUFFIX) and first.isdecimal() and stop.isdecimal():
            found.append((key, int(first), int(stop)))
    return found


def summarised(store: "Store", group: str, recorded: dict[int, Recorded]) -> dict[int, ShardOutcome]:
    """Shard -> what became of it, of those of the stage's `recorded` shards that a summary speaks of."""
    identity = store.identity(group)
    keys = [key for key, _, _ in summary_keys(store.objects, group)]
    found: dict[int, ShardOutcome] = {}
    for data in store.objects.read_many(keys).values():
        summary = Summary.decode(data)
        if summary is None or identity is None:
            continue
        if (summary.fingerprint, summary.images) == (identity.fingerprint, store.digest):
            for shard, size in zip(summary.shards, summary.sizes, strict=True):
                index = shard.first // store.shard
                if (record := recorded.get(index)) and (record.stop, record.size) == (shard.stop, size):
                    found[index] = shard
    return found


def read_outcomes(store: "Store", group: str, shards: tuple[int, int]) -> Iterator[ShardOutcome]:
    """What became of the shards [first, stop) of a stage that are whole, in order: from summaries and, where there are
    none, from the records."""
    recorded = recorded_shards(store.objects, group, store.shard)
    within = {index: record for index, record in sorted(recorded.items()) if shards[0] <= index < shards[1]}
    known = summarised(store, group, within)
    others = [record.key for index, record in within.items() if index not in known]
    rest = (ShardOutcome.of(record) for record in store.completions(group, others)) if others else iter(())
    return merge((known[index] for index in sorted(known)), rest, key=lambda shard: shard.first)


@dataclass
class Summariser:
    """Removes and writes the summaries of a stage for a run that holds its shards [first, stop).

    covered: shards that a summary speaks of.
    """

    store: "Store"
    group: str
    shards: tuple[int, int]
    covered: set[int] = field(default_factory=set)

    def withdraw(self, changing: Sequence[int]) -> None:
        """Remove what speaks of shards that are about to change. Stores of format 1 have and get no summaries: programs
        that know none may change them."""
        self.covered = set(summarised(self.store, self.group, self._recorded()))
        changed = set(changing)
        doomed = []
        for key, first, stop in summary_keys(self.store.objects, self.group):
            spoken_of = range(first // self.store.shard, -(-stop // self.store.shard))
            held = self.shards[0] <= spoken_of.start and spoken_of.stop <= self.shards[1]
            if not changed.isdisjoint(spoken_of) or (held and self.covered.isdisjoint(spoken_of)):
                doomed.append(key)
                self.covered.difference_update(spoken_of)
        self.store.objects.delete_many(doomed)

    def write(self) -> None:
        """Write those that are missing of blocks of which all shards held are whole."""
        if self.store.attributes["format"] == 1:
            return
        first, stop = self.shards
        recorded: dict[int, Recorded] | None = None
        for start in range(first // BLOCK * BLOCK, stop, BLOCK):
            block = range(max(first, start), min(stop, start + BLOCK))
            if self.covered.issuperset(block):
                continue
            recorded = self._recorded() if recorded is None else recorded
            if all(index in recorded for index in block):
                self._write(block, recorded)

    def _write(self, block: range, recorded: dict[int, Recorded]) -> None:
        identity = self.store.identity(self.group)
        keys = [recorded[index].key for index in block]
        found = [ShardOutcome.of(record) for record in self.store.completions(self.group, keys)]
        bounds = [(shard.first, shard.stop) for shard in found]
        if identity is None or bounds != [self.store.bounds(index) for index in block]:
            return
        summary = Summary(
            identity.fingerprint, self.store.digest, tuple(found), tuple(recorded[index].size for index in block)
        )
        key = record_key(self.group, bounds[0][0], bounds[-1][1]).removesuffix(".json") + SUFFIX
        self.store.objects.write(key, summary.encode())
        self.covered.update(block)

    def _recorded(self) -> dict[int, Recorded]:
        return recorded_shards(self.store.objects, self.group, self.store.shard)


def damaged_summaries(store: "Store", group: str, found: Iterable[ShardOutcome]) -> Iterator[tuple[str, str]]:
    """(key, problem) of every summary that is no whole one, or says something else than the records do. found: what
    these say."""
    known = {shard.first: shard for shard in found}
    identity = store.identity(group)
    for key, _, _ in summary_keys(store.objects, group):
        summary = Summary.decode(store.objects.read(key))
        if summary is None:
            yield key, "is no whole summary"
        elif identity is None or (summary.fingerprint, summary.images) != (identity.fingerprint, store.digest):
            continue  # it counts for nothing
        elif any(known.get(shard.first) not in (None, shard) for shard in summary.shards):
            yield key, "says something else than the records"
