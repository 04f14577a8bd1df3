"""`photographs`: the whole job on photographs in VOC's layout, on a CPU, in an evening; or shortened, as a check."""

import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from data.catalog import load_images, parse_spec
from data.errors import InputError
from data.json_file import read_json
from data.loudness import note_console
from data.parameters import parse_assignment
from data.whole_file import write_whole
from pdsl.config.shipped import find_config
from pdsl.evaluate.evaluation_set import EvaluationSet, read_evaluation_set
from pdsl.figures import percent
from pdsl.model.weight_files import fetched_path
from pdsl.report.run import print_comparison, report_run
from pdsl.report.training_pictures import build_pictures
from pdsl.run.folder import training_config
from pdsl.run.names import COMPARISON, METRICS, REPORT
from pdsl.train.loop import Outcome, train
from pipeline.compute import compute_stages
from pipeline.spec import Stage
from stages.registry import STAGE_NAMES, stage_for
from store.store import Store

CONFIG = "photographs"
BACKBONE, FETCHED = "vgg16", "IMAGENET1K_V1"
STAGES: Mapping[str, Mapping[str, Any]] = {"proposals": {"max_proposals": 500}, "grabcut": {"seeds": "all"}}
QUICK_IMAGES = {"train": 120, "val": 40}
QUICK_TRAINING = {"steps": 1200, "checkpoint_every": 400, "schedule.drops": [1000]}
"""The short form: twenty epochs. In the first ten the boxes shrink to parts of objects before they grow again."""
WELL_ABOVE = 5.0
"""Points of CorLoc by which the short form has to beat the untrained model: two standard errors of a share of 15 % of
the some 200 pairs of image and class in its images."""


def run(
    *, data: str, weights: str | None, out: str | None, quick: bool, workers: int | None, overrides: Iterable[str]
) -> int:
    """Fill folder `out` (stores/, features/, run/) from a folder in VOC's layout with lists `train` and `val`.

    Run again it does what is missing. weights: VGG16's; None: torchvision's, which were fetched before. quick: of fewer
    images, in `out`/data, and with fewer updates; status 1 if CorLoc is not well above the untrained model's.
    overrides: "key=value" of training. Status 3 if images failed. Raises InputError.
    """
    console = note_console(markup=True)
    begun = time.perf_counter()
    folder = Path(out or ("photographs-quick" if quick else "photographs")).absolute()
    source = _weights(weights)
    spec = data if data.startswith("voc:") else f"voc:{data}"
    if quick:
        spec = f"voc:{_fewer_images(spec, folder / 'data')}"
    stores = {split: str(folder / "stores" / f"{split}.zarr") for split in ("train", "val")}

    console.rule("[bold]1/3 proposals, their IoU graph, seed masks")
    status = compute_stages(stores["train"], load_images(spec, "train"), STAGE_NAMES, _stage, workers)
    status = max(status, compute_stages(stores["val"], load_images(spec, "val"), STAGE_NAMES, _stage, workers))

    console.rule("[bold]2/3 training, from image-level labels only")
    outcome = _train(folder, stores["train"], source, quick, overrides)
    if outcome.signal:
        console.print(f"stopped after update {outcome.step}; the same command continues")
        return outcome.exit_status

    console.rule("[bold]3/3 what was learnt: CorLoc on the training images, AP on images not seen, and the report")
    sets = {split: read_evaluation_set(spec, split, stores[split]) for split in stores}
    status = max(status, _evaluate(folder / "run", outcome.step, sets))
    comparison = _read(folder / "run" / COMPARISON)
    print_comparison(comparison, console, "What training is worth (in percent; CorLoc on train, AP on val)")
    minutes = (time.perf_counter() - begun) / 60
    print(f"done in {minutes:.1f} min; open {folder / 'run' / REPORT}", file=sys.stderr)
    return status or (_verdict(comparison, console) if quick else 0)


def _weights(given: str | None) -> str:
    """What `model.backbone.weights` is to say. Raises InputError, before any work, where there are none."""
    cure = f"`pdsl weights` lists the files, `pdsl weights --fetch {BACKBONE}` gets torchvision's"
    if given is None:
        if not fetched_path(BACKBONE).is_file():
            raise InputError(
                f"--weights: training begins with ImageNet weights of {BACKBONE}, and none are here; {cure}"
            )
        return FETCHED
    if not Path(given).is_file():
        raise InputError(f"--weights {given}: no such file; {cure}")
    return str(Path(given).absolute())


def _fewer_images(spec: str, folder: Path) -> Path:
    """A folder in VOC's layout that shows the first images of `spec`, of val those with masks first."""
    source = Path(parse_spec(spec).place).expanduser().absolute()
    if folder.exists():
        return folder
    ids = {split: [record.id for record in load_images(spec, split).records] for split in QUICK_IMAGES}
    ids["val"].sort(key=lambda image_id: not (source / "SegmentationObject" / f"{image_id}.png").exists())
    begun = folder.with_name(folder.name + ".begun")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.name != "ImageSets":
            (begun / entry.name).symlink_to(entry)
    for split, count in QUICK_IMAGES.items():
        write_whole(begun / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{i}\n" for i in ids[split][:count]))
    begun.rename(folder)
    return folder


def _stage(name: str, store: Store) -> Stage:
    return stage_for(store, name, STAGES.get(name))


def _train(folder: Path, store: str, weights: str, quick: bool, overrides: Iterable[str]) -> Outcome:
    """Train, or go on where an interrupted training stopped."""
    settings = {
        "model.backbone.weights": weights,
        "features.cache": str(folder / "features"),
        "data.stores": [store],
        **(QUICK_TRAINING if quick else {}),
    }
    changes = [*settings.items(), *(parse_assignment(text) for text in overrides)]
    run_folder = folder / "run"
    config = training_config(run_folder, find_config(CONFIG), changes, resume=True)
    return train(config, run_folder, resume=True, pictures=build_pictures)


def _evaluate(run_folder: Path, step: int, sets: Mapping[str, EvaluationSet]) -> int:
    """Figures, comparison and report of the model after update `step` into the run folder, unless they are there; the
    exit status."""
    metrics = _read(run_folder / METRICS)
    images = sets["val"].images
    there = (metrics.get("step"), metrics.get("data"), metrics.get("split")) == (step, images.spec, images.split)
    if there and "corloc" in _read(run_folder / COMPARISON).get("trained", {}) and (run_folder / REPORT).exists():
        return 3 if metrics["failed"] else 0
    return report_run(run_folder, sets["val"], compare=True, learnt_from=sets["train"]).exit_status


def _read(path: Path) -> dict[str, Any]:
    return dict(read_json(path, "remove it")) if path.exists() else {}


def _verdict(comparison: Mapping[str, Any], console: Console) -> int:
    """0 if the boxes are well above those of the untrained model, else 1; said in words."""
    trained, untrained = (comparison[name]["corloc"] for name in ("trained", "untrained"))
    good = trained is not None and untrained is not None and trained >= untrained + WELL_ABOVE
    console.print(
        f"check: CorLoc {percent(trained)} % is {'well' if good else 'NOT well'} above the untrained model's "
        f"{percent(untrained)} % ({WELL_ABOVE:g} points are asked for)",
        highlight=False,
    )
    return 0 if good else 1
