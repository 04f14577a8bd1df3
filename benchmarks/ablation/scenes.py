"""What each part of the model is worth: AP on synthetic scenes not seen in training, with each part left out in turn.

    python -m benchmarks.ablation.scenes --out DIR [--seeds 3] [--train 400 --val 200] [--workers 2] [key=value …]

Makes scenes and stores in DIR (what is there is kept), trains every variant with every seed, and prints a table of
mean and spread (largest minus smallest) in Markdown, with what each part is worth where that exceeds the spread, and
the differences seed by seed. Interrupted, it goes on where it stopped. On one core a run with the demo's settings takes
some minutes; there are 7 x 3 of them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.ablation.stand_ins import WholeBoxes, store_with
from benchmarks.ablation.tables import paired, table
from benchmarks.arguments import on_scenes
from commands.demo import compute
from data.catalog import load_images
from data.parameters import parse_assignment
from data.scenes import write_scenes
from pdsl.evaluate.evaluation_set import read_evaluation_set
from pdsl.evaluate.metrics import coco_metrics
from pdsl.evaluate.split import detect_split
from pdsl.evaluate.validation import build_validator
from pdsl.run.folder import training_config
from pdsl.run.trained import load_trained
from pdsl.train.loop import train
from pipeline.executors.serial import SerialExecutor
from stages.registry import STAGE_NAMES

CONFIG = Path(__file__).parents[2] / "configs/demo.yaml"
FULL = "full"
VARIANTS: dict[str, tuple[str, ...]] = {
    FULL: (),
    "without refinement": ("model.detection.n_r=0",),
    "without regression": ("model.detection.regression=false",),
    "without seeds": (),  # another store: the mask of every seed is its whole box
    "without correlation": ("model.correlation.enabled=false",),
    "without self-training": ("model.mask.n_m=0",),
    "trunk taught by all mask heads": ("model.mask.trunk_gradient=all",),
}
FIGURES = (("mask", "AP50"), ("mask", "AP75"), ("box", "AP50"), ("box", "AP75"))


def prepare(out: Path, n_train: int, n_val: int, workers: int) -> dict[str, str]:
    """Scenes and stores in `out`: URLs under "train", "val", "boxes" (seeds that are whole boxes)."""
    data = f"voc:{out / 'data'}"
    if not (out / "data").exists():
        write_scenes(out / "data", train=n_train, val=n_val, side=160, seed=0)
    stores = {name: str(out / f"{name}.zarr") for name in ("train", "val", "boxes")}
    compute(data, "train", stores["train"], STAGE_NAMES, workers)
    compute(data, "val", stores["val"], STAGE_NAMES[:1], workers)
    store_with(WholeBoxes.stage, stores["train"], Path(stores["boxes"]), load_images(data, "train"), SerialExecutor())
    return stores


def train_demo(run: Path, store: str, overrides: Sequence[str]) -> None:
    """Train (or go on with) run folder `run` with the demo's configuration, "key=value" overrides put in."""
    changes = [*(parse_assignment(text) for text in overrides), ("data.stores", [store])]
    config = training_config(run, str(CONFIG), changes, resume=True)
    outcome = train(config, run, resume=True, validation=build_validator)
    if outcome.signal:
        raise SystemExit(outcome.exit_status)


def measure(run: Path, store: str, overrides: Sequence[str], out: Path, val: str) -> dict[str, float]:
    """Train (or finish) one run; its figures in percent, by "mask AP50" and the like."""
    found = run / "figures.json"
    if found.exists():
        return dict(json.loads(found.read_text()))
    train_demo(run, store, overrides)
    dataset = read_evaluation_set(f"voc:{out / 'data'}", "val", val)
    predictions, _ = detect_split(load_trained(run), dataset.images, dataset.proposals())
    metrics = coco_metrics(predictions, dataset.truth, dataset.images.class_names)
    figures = {f"{kind} {name}": float(metrics[kind][name]) for kind, name in FIGURES}
    found.write_text(json.dumps(figures))
    return figures


def main() -> None:
    parser = on_scenes(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options: Any = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    stores = prepare(options.out, options.train, options.val, options.workers)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for seed in range(options.seeds):
        for name, overrides in VARIANTS.items():
            store = stores["boxes" if name == "without seeds" else "train"]
            run = options.out / "runs" / f"{name.replace(' ', '-')}-{seed}"
            results[name].append(
                measure(run, store, [*options.overrides, *overrides, f"seed={seed}"], options.out, stores["val"])
            )
        print(f"\nseeds 0 to {seed}:\n{table(results, FULL)}\n\n{paired(results, FULL)}", flush=True)
    (options.out / "ablation.json").write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
