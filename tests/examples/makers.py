"""What the examples' tests share: where they lie, a folder of labelled photographs, programs run as a user would."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from data.catalog import load_images
from data.scenes import write_scenes

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


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
