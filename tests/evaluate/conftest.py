"""A run folder with an untrained tiny model, and the store of its images."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from data.parameters import to_plain
from pdsl.config.load import load_config, save_config
from pdsl.config.tree import Config
from pdsl.model.build import build_model
from pdsl.run.checkpoint import save_checkpoint
from store.store import open_store
from tests.train.makers import CONFIG, make_store


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `data/` (VOC layout, split train: ten scenes, the last without proposals) and `train.zarr`."""
    folder = tmp_path_factory.mktemp("evaluation")
    make_store(folder)
    return folder


@pytest.fixture
def run_folder(scenes: Path, tmp_path: Path) -> Path:
    """config.yaml, log.jsonl and a checkpoint."""
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    config = load_config(tmp_path / "tiny.yaml")
    config = replace(config, data=replace(config.data, stores=(str(scenes / "train.zarr"),)))
    save_config(config, run / "config.yaml")
    lines = [json.dumps({"step": step, "loss": 3 / step, "terms": {"mil": 2 / step}}) for step in (2, 4, 6, 8)]
    (run / "log.jsonl").write_text("\n".join([*lines, '{"step": 1']))
    _save(run, config, str(scenes / "train.zarr"))
    return run


def _save(run: Path, config: Config, store: str) -> None:
    opened = open_store(store)
    names = list(opened.images().class_names)
    model = build_model(config.model, len(names), config.seed)
    told = {"step": 8, "config": to_plain(config), "class_names": names, "stores": [f"{opened.digest}:of its stages"]}
    save_checkpoint(run, {"model": model.state_dict(), "generators": {}, **told})
