"""Fig. 3 of the paper on synthetic scenes: AP over the updates, learning in parallel and as a cascade.

    python -m benchmarks.cascade_curves --out DIR [--every 200] [--train 400 --val 200] [--workers 2] [key=value …]

Scenes and stores are those of benchmarks/train_ablation.py (what is in DIR is kept). Both runs have the demo's settings
and differ in `model.mask.source` only. Interrupted, it goes on where it stopped. Writes DIR/curves.svg and prints the
figures of both runs.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.train_ablation import CONFIG, prepare
from commands import train
from pdsl.report.charts import read_log, validation_curves

SOURCES = {"parallel": "seeds", "cascade": "cascade"}
FIGURES = (("mask", "AP50"), ("mask", "AP75"), ("box", "AP50"), ("box", "AP75"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=int, default=200, help="updates from one evaluation to the next")
    parser.add_argument("--train", type=int, default=400, help="training scenes")
    parser.add_argument("--val", type=int, default=200, help="scenes to evaluate on")
    parser.add_argument("--workers", type=int, default=2, help="processes of the offline stages")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of configs/demo.yaml, for both runs")
    options: Any = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    stores = prepare(options.out, options.train, options.val, options.workers)
    logs = {}
    for name, source in SOURCES.items():
        run = options.out / "curves" / name
        watched = [f"validation.every={options.every}", f"validation.store={stores['val']}"]
        status = train.run(
            config=str(CONFIG),
            stores=[stores["train"]],
            out=str(run),
            resume=True,
            init=None,
            overrides=[*options.overrides, *watched, f"model.mask.source={source}"],
            data=None,
        )
        if status:
            raise SystemExit(status)
        logs[name] = read_log(run / "log.jsonl")
    page = (
        validation_curves(logs).replace("currentColor", "#24292f").replace("<svg ", '<svg style="background:#fff" ', 1)
    )
    (options.out / "curves.svg").write_text(page)
    print("| Update | " + " | ".join(f"{name}: {kind} {figure}" for name in logs for kind, figure in FIGURES) + " |")
    print("|---" * (1 + len(logs) * len(FIGURES)) + "|")
    evaluated = {name: {e["step"]: e["validation"] for e in log if "validation" in e} for name, log in logs.items()}
    for step in evaluated["parallel"]:
        cells = [format(evaluated[name][step][kind][figure] or 0.0, ".1f") for name in logs for kind, figure in FIGURES]
        print(f"| {step} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
