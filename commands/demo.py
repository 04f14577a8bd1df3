"""`demo`: the whole job on synthetic scenes, on a CPU, in minutes."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from commands import evaluate, precompute, train
from commands.workspace import find_config
from data.errors import InputError
from data.scenes import write_scenes
from pdsl.figures import percent

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
STAGES = {"proposals": {"method": "mcg", "max_proposals": 140}, "grabcut": {"colour_cut": COLOUR_CUT}}
CONFIG = "demo"
EVALUATE_EVERY = 500
MARK = ".pdsl-demo"
ROWS = {
    "trained": "trained model",
    "boxes_as_masks": "its boxes filled as masks",
    "untrained": "model before training",
}


def run(*, out: str, workers: int) -> int:
    """Fill folder `out`: `data/`, `stores/`, `run/`. Run again after an interruption, it goes on where it stopped."""
    folder = Path(out)
    _check_folder(folder)
    console = Console(stderr=True)
    start = time.perf_counter()
    data = f"voc:{folder / 'data'}"

    console.rule("[bold]1/4 synthetic scenes")
    _make_scenes(folder / "data", console)

    console.rule("[bold]2/4 offline stages")
    stores = {split: str(folder / "stores" / f"{split}.zarr") for split in ("train", "val")}
    for split, stage in (("train", "all"), ("val", "proposals")):
        _precompute(data, split, stores[split], stage, workers)

    console.rule("[bold]3/4 training, from image-level labels only")
    run_folder = folder / "run"
    stopped = train.run(
        config=find_config(CONFIG),
        stores=[stores["train"]],
        out=str(run_folder),
        resume=(run_folder / "config.yaml").exists(),
        init=None,
        overrides=[f"validation.every={EVALUATE_EVERY}", f"validation.store={stores['val']}"],
        data=None,
    )
    if stopped:
        return stopped

    console.rule("[bold]4/4 evaluation on scenes not seen in training, and the report")
    status = evaluate.run(
        run=str(run_folder),
        data=data,
        split="val",
        store=stores["val"],
        results=None,
        tta=False,
        out=None,
        compare=True,
    )
    _print_comparison(json.loads((run_folder / evaluate.COMPARISON).read_text()), console)
    minutes = (time.perf_counter() - start) / 60
    console.print(f"[bold green]done[/] in {minutes:.1f} min; open {(run_folder / 'report.html').resolve()}")
    return status


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
        write_scenes(begun, train=TRAIN_SCENES, val=VAL_SCENES, side=SIDE, seed=SEED)
        begun.rename(folder)
    console.print(f"{TRAIN_SCENES} to learn from, {VAL_SCENES} to be tested on, in {folder}")


def _precompute(data: str, split: str, store: str, stage: str, workers: int) -> None:
    status = precompute.run(data=data, split=split, store=store, stage=stage, workers=workers, settings=STAGES)
    if status:
        raise InputError(f"{store}: the stages did not finish (status {status}); the same command continues")


def _print_comparison(comparison: dict[str, Any], console: Console) -> None:
    table = Table(title="What training is worth (in percent, on unseen scenes)", title_justify="left")
    for column in ("", "mask AP50", "mask AP75", "box AP50", "box AP75"):
        table.add_column(column, justify="right" if column else "left")
    for name, label in ROWS.items():
        figures = [comparison[name][kind][metric] for kind in ("mask", "box") for metric in ("AP50", "AP75")]
        table.add_row(label, *(percent(figure) for figure in figures))
    console.print(table)
