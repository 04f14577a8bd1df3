"""The examples in docstrings, in docs/python.md and in docs/store.md run and say the truth."""

import doctest
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.catalog import load_images
from data.parameters import to_plain
from data.scenes import draw_scene, write_scenes
from pdsl.config.load import load_config
from pdsl.model.build import build_model
from pdsl.run.checkpoint import save_checkpoint
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from stages import STAGE_NAMES, build_stage
from store.create import create_or_open
from tests.train.makers import CONFIG

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("data.options", "data.parameters", "pdsl.figures", "stages.registry")
SETTINGS = {
    "proposals": {"mode": "fast", "contours": "gradient", "max_proposals": 30},
    "grabcut": {"colour_cut": {"contours": "gradient"}},
}


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    outcome = doctest.testmod(import_module(name))
    assert outcome.attempted > 0 and outcome.failed == 0


def test_the_pages_for_python_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(draw_scene(np.random.default_rng(1), side=96).image).save("photo.jpg")
    write_scenes("data", train=4, val=0, side=96)
    images = load_images("voc:data", "train")
    store = create_or_open("stores/train.zarr", images)
    for name in STAGE_NAMES:
        run_stage(store, images, build_stage(name, SETTINGS.get(name), capacity=30), SerialExecutor())
    Path("tiny.yaml").write_text(CONFIG)
    config, names = load_config("tiny.yaml"), list(images.class_names)
    model = build_model(config.model, len(names))
    content = {"model": model.state_dict(), "step": 0, "config": to_plain(config), "class_names": names}
    save_checkpoint(Path("runs/default"), content)
    for page, examples in (("docs/python.md", 20), ("docs/store.md", 12)):
        outcome = doctest.testfile(str(ROOT / page), module_relative=False)
        assert outcome.attempted > examples and outcome.failed == 0
