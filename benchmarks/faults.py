"""Faults inflicted on purpose: how many are survived or refused, and whether any gives a wrong result.

    python -m benchmarks.faults [--flips 40] [--only attacks]

Damage: single bits flipped, files cut off and removed, over every file of a small store; `verify` has to find each.
Kills: a store's creation, extension, overwriting and relabelling, and a stage's recomputation, retry and repair, ended
after each of their writes and deletions in turn; then the same command again. In between a reader finds what was there
before or will be after, or a refusal; in the end the bytes are those of an undisturbed run.
Checkpoints: bits flipped over the whole file, cut, removed: refused, and a run goes on from the newest whole one.
Attacks: commands on files, options, limits and signals that mean them harm (`benchmarks.engine.attack_table`).
The last line has the faults injected, refused (or found), survived and wrong. Exit status 1 if any is wrong.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import torch

from benchmarks.engine.attack_table import ATTACKS, POINTS
from benchmarks.engine.attacks import attempt, make_world
from benchmarks.engine.damage import table
from benchmarks.engine.mutations import MUTATIONS, kill_everywhere
from benchmarks.engine.toy import first_stage, image_list, second_stage
from data.errors import InputError
from pdsl.run.checkpoint import LAST, load_checkpoint, resumable_checkpoint, save_checkpoint
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.create import create_or_open

OUTCOMES = ("refused", "survived", "wrong")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=40, help="bits flipped in every file (in small ones: every byte)")
    parser.add_argument("--only", choices=["attacks"], help="leave the others out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = print_attacks(Path(folder) / "attacks")
        if not given.only:
            outcomes += print_damage(Path(folder), given.flips)
            outcomes += print_kills(Path(folder))
            outcomes += print_checkpoints(Path(folder) / "run", 50 * given.flips)
    print(f"injected {outcomes.total()}: " + ", ".join(f"{name} {outcomes[name]}" for name in OUTCOMES))
    return int(outcomes["wrong"] > 0)


def print_attacks(folder: Path) -> Counter[str]:
    """A table of attacks by what they aim at, and those that went wrong; the outcomes."""
    pristine = make_world(folder / "world")
    rows: dict[int, Counter[str]] = defaultdict(Counter)
    for attack in ATTACKS:
        outcome = attempt(attack, pristine, folder / "world")
        rows[attack.point][outcome.kind] += 1
        if outcome.fault:
            print(f"WRONG ({outcome.fault}): pdsl {attack.line} [{outcome.said}]", flush=True)
    print(f"{'attacks on':<24}{'tried':>7}" + "".join(f"{name:>10}" for name in OUTCOMES))
    for point, outcomes in sorted(rows.items()):
        counts = "".join(f"{outcomes[name]:>10}" for name in OUTCOMES)
        print(f"{POINTS[point]:<24}{outcomes.total():>7}{counts}", flush=True)
    return sum(rows.values(), Counter())


def print_damage(folder: Path, flips: int) -> Counter[str]:
    """A table of damage by kind of file and fault; the outcomes."""
    images = image_list(30)
    store = create_or_open(str(folder / "small.zarr"), images, shard=4)
    for stage in (first_stage(), second_stage()):
        run_stage(store, images, stage, SerialExecutor())
    counts = table(folder / "small.zarr", flips)
    rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for (kind, fault, outcome), number in counts.items():
        rows[kind, fault][outcome] += number
    print(f"{'file':<20}{'fault':<8}{'tried':>7}{'found':>7}{'not computed':>14}{'survived':>10}{'unnoticed':>11}")
    for (kind, fault), outcomes in sorted(rows.items()):
        found, lost, survived, unnoticed = (outcomes[n] for n in ("found", "not computed", "survived", "unnoticed"))
        print(f"{kind:<20}{fault:<8}{outcomes.total():>7}{found:>7}{lost:>14}{survived:>10}{unnoticed:>11}")
    print(f"{'all':<28}{counts.total():>7}")
    everything = sum(rows.values(), Counter())
    return Counter(
        refused=everything["found"] + everything["not computed"],
        survived=everything["survived"],
        wrong=everything["unnoticed"],
    )


def print_kills(folder: Path) -> Counter[str]:
    """A table of kills by what was going on; the outcomes."""
    print(f"{'killed while':<16}{'trials':>8}{'refused':>9}{'usable':>8}{'wrong':>7}")
    everything: Counter[str] = Counter()
    for name in MUTATIONS:
        outcomes = kill_everywhere(name, folder / name)
        everything += outcomes
        print(f"{name:<16}{outcomes.total():>8}{outcomes['refused']:>9}{outcomes['usable']:>8}{outcomes['wrong']:>7}")
    return Counter(refused=everything["refused"], survived=everything["usable"], wrong=everything["wrong"])


def print_checkpoints(run: Path, flips: int) -> Counter[str]:
    """Damage to the newest of three checkpoints, one at a time; the outcomes: wrong is what loads all the same."""
    outcomes: Counter[str] = Counter()
    for step in (1, 2, 3):
        model = {"w": torch.randn(40, 50), "b": torch.randn(7)}
        path = save_checkpoint(run, {"model": model, "step": step, "config": {}, "class_names": ["cat"]})
    whole, rng = path.read_bytes(), random.Random(0)
    last = path.with_name(LAST)
    damages = [_flipped(whole, rng.randrange(len(whole)), rng.randrange(8)) for _ in range(flips)]
    damages += [whole[:length] for length in range(0, len(whole), max(1, len(whole) // 100))]
    for damaged in damages:
        last.unlink()
        last.write_bytes(damaged)
        path.write_bytes(damaged)
        goes_on = resumable_checkpoint(run, lambda text: None) == path.with_name("step-000002.pt")
        outcomes["refused" if _is_refused(last) and goes_on else "wrong"] += 1
    print(f"checkpoints: {len(damages)} damages, {outcomes['refused']} refused and gone on from the one before")
    return outcomes


def _flipped(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def _is_refused(path: Path) -> bool:
    try:
        load_checkpoint(path)
    except InputError:
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
