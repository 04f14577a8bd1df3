"""Kill -9 trials: of a worker, a nanny, the client, everything, at moments uniform over the measured run time.

    python -m benchmarks.engine_kill --trials 36 --out trials.json

Each trial runs again afterwards and compares every array chunk with an uninterrupted serial run, looks for leftovers,
and counts recorded shards that were computed again.
"""

import json
import random
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks.engine.kill import TARGETS, Trial, reference, run_time, trial


@click.command()
@click.option("--trials", default=36, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=None)
def main(trials: int, seed: int, out: Path | None) -> None:
    """Run the trials and print a table."""
    rng = random.Random(seed)
    found: list[Trial] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = reference(folder)
        times = {target: run_time(folder, target) for target in TARGETS}
        for number in range(trials):
            target = TARGETS[number % len(TARGETS)]
            outcome = trial(folder / f"{number}", target, rng.random(), times[target], expected)
            print(outcome, flush=True)
            found.append(outcome)
    between = sum(outcome.between for outcome in found)
    print(f"{len(found)} trials: {sum(o.good for o in found)} good, {between} between the first and the last record")
    print("by target:", dict(Counter(o.target for o in found if o.good)))
    if out is not None:
        out.write_text(json.dumps([asdict(outcome) for outcome in found], indent=1))


if __name__ == "__main__":
    main()
