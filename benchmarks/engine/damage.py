"""One damage at a time over every file of a store: is it found, or without effect?

Used by the tests (a few positions a file) and by benchmarks/faults.py (at least 2,000 over a store).
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data.errors import InputError
from store.layout import DONE
from store.store import open_store
from store.summary import SUFFIX
from store.verify import open_damaged, verify_store


@dataclass(frozen=True)
class Fault:
    """kind: "flip", "cut" or "gone". position: of the flipped bit's byte, or the length that is left."""

    key: str
    kind: str
    position: int = 0
    bit: int = 0

    def apply(self, path: Path) -> None:
        """Do it to the file."""
        if self.kind == "gone":
            path.unlink()
            return
        content = bytearray(path.read_bytes())
        if self.kind == "cut":
            del content[self.position :]
        else:
            content[self.position] ^= 1 << self.bit
        path.write_bytes(content)


def faults(root: Path, flips: int, rng: random.Random) -> Iterator[Fault]:
    """`flips` single bits of every file (of small ones every byte at most once), four lengths, and its loss."""
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        key, size = path.relative_to(root).as_posix(), path.stat().st_size
        for position in sorted(rng.sample(range(size), min(flips, size))):
            yield Fault(key, "flip", position, rng.randrange(8))
        for length in sorted({0, size // 2, size - 1}):
            yield Fault(key, "cut", length)
        yield Fault(key, "gone")


def outcome(root: Path, fault: Fault) -> str:
    """Inflict a fault, verify, undo it: "found", "not computed" (said by verify, refused by readers), "survived" (of a
    summary, which is made of what is still there: readers find the same without it), or "unnoticed"."""
    path = root / fault.key
    before = path.read_bytes()
    fault.apply(path)
    try:
        result = verify_store(open_damaged(str(root)))
        if result.damage:
            return "found"
        if any(result.pending.values()):
            return "not computed"
        return "survived" if fault.key.endswith(SUFFIX) and _all_done(root) else "unnoticed"
    except InputError:
        return "found"
    finally:
        path.write_bytes(before)


def _all_done(root: Path) -> bool:
    store = open_store(str(root))
    return all((store.status(group) == DONE).all() for group in store.groups())


def table(root: Path, flips: int, seed: int = 0) -> Counter[tuple[str, str, str]]:
    """Outcomes by (what kind of file, kind of fault, outcome)."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for fault in faults(root, flips, random.Random(seed)):
        counts[file_kind(fault.key), fault.kind, outcome(root, fault)] += 1
    return counts


def file_kind(key: str) -> str:
    """What a file of a store is, in words."""
    if "/records/" in key:
        return "summary of records" if key.endswith(SUFFIX) else "completion record"
    if key.endswith("zarr.json"):
        return {0: "root document", 1: "group document"}.get(key.count("/"), "array document")
    return "image list" if key.startswith("images/") else "shard of a stage"
