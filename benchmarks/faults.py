"""Faults inflicted on purpose: how many are survived or refused, and whether any gives a wrong result.

    python -m benchmarks.faults [--flips 40]

Damage: single bits flipped, files cut off and removed, over every file of a small store; `verify` has to find each.
Kills: a store's creation, extension, overwriting and relabelling, and a stage's recomputation, retry and repair, ended
after each of their writes and deletions in turn; then the same command again. In between a reader finds what was there
before or will be after, or a refusal; in the end the bytes are those of an undisturbed run. Exit status 1 if not.
"""

import argparse
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.engine.damage import table
from benchmarks.engine.mutations import MUTATIONS, kill_everywhere
from benchmarks.engine.toy import first_stage, image_list, second_stage
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=40, help="bits flipped in every file (in small ones: every byte)")
    flips = parser.parse_args().flips
    with tempfile.TemporaryDirectory() as folder:
        wrong = print_damage(Path(folder), flips)
        wrong += print_kills(Path(folder))
    print(f"wrong: {wrong}")
    return int(wrong > 0)


def print_damage(folder: Path, flips: int) -> int:
    """A table of damage by kind of file and fault; the number that went unnoticed."""
    images = image_list(30)
    store = create_or_open(str(folder / "small.zarr"), images, shard=4)
    for stage in (first_stage(), second_stage()):
        run_stage(store, images, stage, SerialExecutor())
    counts = table(folder / "small.zarr", flips)
    rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for (kind, fault, outcome), number in counts.items():
        rows[kind, fault][outcome] += number
    print(f"{'file':<20}{'fault':<8}{'tried':>7}{'found':>7}{'not computed':>14}{'unnoticed':>11}")
    for (kind, fault), outcomes in sorted(rows.items()):
        found, lost, unnoticed = (outcomes[name] for name in ("found", "not computed", "unnoticed"))
        print(f"{kind:<20}{fault:<8}{outcomes.total():>7}{found:>7}{lost:>14}{unnoticed:>11}")
    print(f"{'all':<28}{counts.total():>7}")
    return sum(outcomes["unnoticed"] for outcomes in rows.values())


def print_kills(folder: Path) -> int:
    """A table of kills by what was going on; the number that ended with other bytes."""
    print(f"{'killed while':<16}{'trials':>8}{'refused':>9}{'usable':>8}{'wrong':>7}")
    wrong = 0
    for name in MUTATIONS:
        outcomes = kill_everywhere(name, folder / name)
        wrong += outcomes["wrong"]
        print(f"{name:<16}{outcomes.total():>8}{outcomes['refused']:>9}{outcomes['usable']:>8}{outcomes['wrong']:>7}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
