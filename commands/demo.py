"""`demo`: the whole job on synthetic scenes, on a CPU, in minutes."""

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from data.catalog import load_images
from data.errors import InputError
from data.loudness import note_console
from data.scenes import write_scenes
from pdsl.config.shipped import find_config
from pdsl.evaluate.evaluation_set import read_evaluation_set
from pdsl.evaluate.validation import build_validator
from pdsl.report.run import print_comparison, report_run
from pdsl.report.training_pictures import build_pictures
from pdsl.run.folder import training_config
from pdsl.run.names import COMPARISON, REPORT
from pdsl.train.loop import Outcome, train
from pipeline.compute import compute_stages
from pipeline.spec import Stage
from stages.registry import STAGE_NAMES, stage_for
from store.store import Store

TRAIN_SCENES, VAL_SCENES, SIDE, SEED = 300, 80, 160, 0
COLOUR_CUT = {
    "bias": -0.7,
    "enclosure": 0.0,
    "containment": 0.7,
    "fit": 0.3,
    "colour": 1.2,
    "region_colour": 2.0,
}
"""The scenes' objects are vivid and thin: colour says more of them than of photographs (docs/results.md)."""
STAGES: Mapping[str, Mapping[str, Any]] = {
    "proposals": {"method": "mcg", "max_proposals": 140},
    "grabcut": {"colour_cut": COLOUR_CUT},
}
CONFIG = "demo"
EVALUATE_EVERY = 500
MARK = ".pdsl-demo"


def run(*, out: str, workers: int) -> int:
    """Fill folder `out`: `data/`, `stores/`, `run/`. Run again after an interruption, it goes on where it stopped."""
    folder = Path(out)
    _check_folder(folder)
    console = note_console(markup=True)
    start = time.perf_counter()
    data = f"voc:{folder / 'data'}"

    console.rule("[bold]1/4 synthetic scenes")
    _make_scenes(folder / "data", console)

    console.rule("[bold]2/4 offline stages")
    stores = {split: str(folder / "stores" / f"{split}.zarr") for split in ("train", "val")}
    compute(data, "train", stores["train"], STAGE_NAMES, workers)
    compute(data, "val", stores["val"], STAGE_NAMES[:1], workers)

    console.rule("[bold]3/4 training, from image-level labels only")
    run_folder = folder / "run"
    outcome = _train(run_folder, stores)
    if outcome.signal:
        console.print(f"stopped after update {outcome.step}; the same command continues")
        return outcome.exit_status

    console.rule("[bold]4/4 evaluation on scenes not seen in training, and the report")
    evaluation = report_run(run_folder, read_evaluation_set(data, "val", stores["val"]), compare=True)
    comparison = json.loads((run_folder / COMPARISON).read_text())
    print_comparison(comparison, console, "What training is worth (in percent, on unseen scenes)")
    minutes = (time.perf_counter() - start) / 60
    print(f"done in {minutes:.1f} min; open {(run_folder / REPORT).resolve()}", file=sys.stderr)
    return evaluation.exit_status


def _check_folder(folder: Path) -> None:
    """An earlier demo's folder is continued; anything else of the user's is left alone."""
    if folder.exists() and not (folder / MARK).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not a demo's folder; give --out another one")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def _make_scenes(folder: Path, console: Console) -> None:
    """Write the scenes, or leave those of an earlier run; a folder that was only begun is made anew."""
    if not folder.exists():
        begun = folder.with_name(folder.name + ".begun")
        shutil.rmtree(begun, ignore_errors=True)
        try:
            write_scenes(begun, train=TRAIN_SCENES, val=VAL_SCENES, side=SIDE, seed=SEED)
        except BaseException as error:
            shutil.rmtree(begun, ignore_errors=True)
            if isinstance(error, OSError):
                error.filename = error.filename or str(folder)
            raise
        begun.rename(folder)
    console.print(f"{TRAIN_SCENES} to learn from, {VAL_SCENES} to be tested on, in {folder}")


def compute(data: str, split: str, url: str, stages: Sequence[str], workers: int) -> None:
    """Stages with the demo's settings over a split, into the store at `url`; what is there is kept.

    Raises InputError if images failed.
    """
    if compute_stages(url, load_images(data, split), stages, _stage, workers):
        raise InputError(f"{url}: images failed; the same command continues")


def _stage(name: str, store: Store) -> Stage:
    return stage_for(store, name, STAGES.get(name))


def _train(run: Path, stores: Mapping[str, str]) -> Outcome:
    """Train, or go on where an interrupted demo stopped."""
    settings = {
        "threads": 1,  # sums depend on the number of threads: the same figures on every machine
        "validation.every": EVALUATE_EVERY,
        "validation.store": stores["val"],
        "data.stores": [stores["train"]],
    }
    config = training_config(run, find_config(CONFIG), settings.items(), resume=True)
    return train(config, run, resume=True, validation=build_validator, pictures=build_pictures)
