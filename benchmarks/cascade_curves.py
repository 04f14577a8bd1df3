"""Fig. 3 of the paper on synthetic scenes: AP over the updates, learning in parallel and as a cascade.

    python -m benchmarks.cascade_curves --out DIR [--every 200] [--train 400 --val 200] [--workers 2] [key=value …]

Scenes and stores are those of benchmarks/ablation/scenes.py (what is in DIR is kept). Both runs have the demo's
settings and differ in `model.mask.source` only. Interrupted, it goes on where it stopped. Writes DIR/curves-masks.svg
and DIR/curves-boxes.svg, and prints the figures of both runs.
"""

from typing import Any

from benchmarks.ablation.scenes import FIGURES, prepare, train_demo
from benchmarks.arguments import on_scenes
from pdsl.report.charts import validation_charts
from pdsl.run.folder import read_log
from pdsl.run.names import LOG

SOURCES = {"parallel": "seeds", "cascade": "cascade"}


def main() -> None:
    parser = on_scenes(__doc__)
    parser.add_argument("--every", type=int, default=200, help="updates from one evaluation to the next")
    options: Any = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    stores = prepare(options.out, options.train, options.val, options.workers)
    logs = {}
    for name, source in SOURCES.items():
        run = options.out / "curves" / name
        watched = [f"validation.every={options.every}", f"validation.store={stores['val']}"]
        train_demo(run, stores["train"], [*options.overrides, *watched, f"model.mask.source={source}"])
        logs[name] = read_log(run / LOG)
    for name, chart in zip(("masks", "boxes"), validation_charts(logs), strict=False):
        page = chart.replace("currentColor", "#24292f").replace("<svg ", '<svg style="background:#fff" ', 1)
        (options.out / f"curves-{name}.svg").write_text(page)
    print("| Update | " + " | ".join(f"{name}: {kind} {figure}" for name in logs for kind, figure in FIGURES) + " |")
    print("|---" * (1 + len(logs) * len(FIGURES)) + "|")
    evaluated = {name: {e["step"]: e["validation"] for e in log if "validation" in e} for name, log in logs.items()}
    for step in evaluated["parallel"]:
        cells = [format(evaluated[name][step][kind][figure] or 0.0, ".1f") for name in logs for kind, figure in FIGURES]
        print(f"| {step} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
