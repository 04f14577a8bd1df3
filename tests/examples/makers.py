"""What the examples' tests share: where they lie, a folder of labelled photographs, programs run as a user would."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from data.catalog import load_images
from data.parameters import to_plain
from data.records import ImageList
from data.scenes import write_scenes
from pdsl.config.load import load_config
from pdsl.model.build import build_model
from pdsl.run.checkpoint import save_checkpoint
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from stages import STAGE_NAMES, build_stage
from store.create import create_or_open
from tests.train.makers import CONFIG

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SETTINGS = {
    "proposals": {"mode": "fast", "contours": "gradient", "max_proposals": 30},
    "grabcut": {"colour_cut": {"contours": "gradient"}},
}


def write_workspace(*, train: int, side: int) -> ImageList:
    """Into the working folder: scenes in data/, their store with all stages in stores/train.zarr, tiny.yaml, and in
    runs/default the checkpoint of a model before its first update. Returns the images."""
    write_scenes("data", train=train, val=0, side=side)
    images = load_images("voc:data", "train")
    store = create_or_open("stores/train.zarr", images)
    for name in STAGE_NAMES:
        run_stage(store, images, build_stage(name, SETTINGS.get(name), capacity=30), SerialExecutor())
    Path("tiny.yaml").write_text(CONFIG)
    config, names = load_config("tiny.yaml"), list(images.class_names)
    model = build_model(config.model, len(names))
    content = {"model": model.state_dict(), "step": 0, "config": to_plain(config), "class_names": names}
    save_checkpoint(Path("runs/default"), content)
    return images


def write_photos(folder: Path, scenes: Path, count: int) -> None:
    """Photos with a labels.csv: scenes without what is drawn in them but their classes, one of them in a sub-folder."""
    write_scenes(scenes, train=count, val=1, side=64, seed=4)
    images = load_images(f"voc:{scenes}", "train")
    lines = ["image,labels"]
    for row, record in enumerate(images.records):
        name = f"{'more/' if row == 0 else ''}{row}.png"
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(record.path).save(folder / "images" / name)
        lines.append(f"{name},{';'.join(images.class_names[c] for c in record.label)}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def run(*command: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a program prints, run in `folder` with this checkout's code; an error with its output where it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **PROGRAMS, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


PROGRAMS = {"PYTHON": sys.executable, "PDSL": f"{sys.executable} -m pdsl"}
