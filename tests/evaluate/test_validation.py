"""Figures while a model trains: those of `eval`, the same for any number of processes, and without effect on it."""

import json
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from commands import train
from data.errors import InputError
from pdsl.config.load import load_config
from pdsl.evaluate.evaluation_set import read_evaluation_set
from pdsl.evaluate.metrics import coco_metrics
from pdsl.evaluate.split import detect_split
from pdsl.evaluate.validation import Validator
from pdsl.figures import Figures
from pdsl.model.build import build_model
from pdsl.run.checkpoint import load_checkpoint
from pdsl.run.trained import load_trained
from pdsl.train.distributed import World
from pdsl.train.terminal import Terminal
from tests.train.makers import CONFIG


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture
def store(scenes: Path) -> str:
    return str(scenes / "train.zarr")


def run(store: str, config: str, out: Path, *overrides: str, resume: bool = False, **options: Any) -> int:
    return train.run(
        config=config,
        stores=[store],
        out=str(out),
        resume=resume,
        init=None,
        overrides=list(overrides),
        data=None,
        **options,
    )


def validations(out: Path) -> dict[int, Figures]:
    entries = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return {entry["step"]: entry["validation"] for entry in entries if "validation" in entry}


def test_figures_are_logged_and_change_nothing_that_is_learnt(
    scenes: Path, store: str, config: str, tmp_path: Path
) -> None:
    assert run(store, config, tmp_path / "plain") == 0
    assert run(store, config, tmp_path / "watched", "validation.every=3", f"validation.store={store}") == 0
    assert same_weights(tmp_path / "plain", tmp_path / "watched")
    found = validations(tmp_path / "watched")
    assert list(found) == [3, 6, 8] and not validations(tmp_path / "plain")
    dataset = read_evaluation_set(f"voc:{scenes / 'data'}", "train", store)
    predictions, failed = detect_split(load_trained(tmp_path / "watched"), dataset.images, dataset.proposals())
    expected = coco_metrics(predictions, dataset.truth, dataset.images.class_names)
    for kind in ("mask", "box"):
        assert found[8][kind] == {name: value for name, value in expected[kind].items() if name != "per_class"}
    assert found[8]["images"] == 10 and found[8]["failed"] == len(failed) == 1


def test_it_may_be_asked_for_anew_when_a_run_is_resumed(store: str, config: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(store, config, out, "steps=4") == 0
    assert run(store, config, out, "steps=8", "validation.every=2", resume=True, validation_store=store) == 0
    assert list(validations(out)) == [6, 8]


def test_an_evaluation_that_a_signal_broke_off_is_made_up(
    store: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At an update between, after the last, and while it is made up; the checkpoint is of that very update."""
    out, whole = tmp_path / "run", tmp_path / "whole"
    watched = ["validation.every=3", f"validation.store={store}", "checkpoint_every=100"]
    assert run(store, config, whole, *watched) == 0
    original = Terminal.evaluating

    def interrupted(self: Terminal, looked_at: int, images: int) -> None:
        if looked_at == 2:
            signal.raise_signal(signal.SIGTERM)
        original(self, looked_at, images)

    def stopped_at(step: int, *overrides: str, resume: bool = True) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Terminal, "evaluating", interrupted)
            assert run(store, config, out, *overrides, resume=resume) == 143
        assert load_checkpoint(out)["step"] == step

    stopped_at(3, *watched, resume=False)
    assert validations(out) == {}
    stopped_at(3)
    assert run(store, config, out, "steps=6", resume=True) == 0
    stopped_at(8, "steps=8")
    assert list(validations(out)) == [3, 6]
    assert run(store, config, out, resume=True) == 0
    assert validations(out) == validations(whole) and list(validations(out)) == [3, 6, 8]
    assert same_weights(out, whole)


def same_weights(one: Path, other: Path) -> bool:
    a, b = (load_checkpoint(run)["model"] for run in (one, other))
    return all(torch.equal(a[name], b[name]) for name in a)


@dataclass(frozen=True)
class Recorded(World):
    """A process whose `gather` gives what the ones before it and itself said."""

    said: list[Any] = field(default_factory=list)

    def gather(self, value: Any) -> list[Any]:
        self.said.append(value)
        return list(self.said)


def test_processes_share_the_images(scenes: Path, store: str, config: str) -> None:
    settled = load_config(config)
    dataset = read_evaluation_set(f"voc:{scenes / 'data'}", "train", store)
    validator = Validator(settled, dataset.images.class_names, dataset)
    model = build_model(settled.model, len(dataset.images.class_names), 0)
    cpu = torch.device("cpu")
    steps: list[tuple[int, int]] = []
    alone = validator(model, World(0, 1, cpu), lambda done, images: steps.append((done, images)))
    assert steps == [(n, 10) for n in range(1, 11)] and model.training
    said: list[Any] = []
    for rank in range(3):
        together = validator(model, Recorded(rank, 3, cpu, said), lambda done, images: None)
    assert together == alone


def test_what_can_not_be_evaluated_is_said_before_the_first_update(
    scenes: Path, store: str, config: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"validation: store: name the store"):
        run(store, config, tmp_path / "a", "validation.every=2")
    with pytest.raises(InputError, match=r"nowhere"):
        run(store, config, tmp_path / "b", "validation.every=2", "validation.store=nowhere.zarr")
    dataset = read_evaluation_set(f"voc:{scenes / 'data'}", "train", store)
    with pytest.raises(InputError, match="none of the model's classes"):
        Validator(load_config(config), ("unicorn",), dataset)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]
