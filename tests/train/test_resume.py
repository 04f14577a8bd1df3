"""Runs that are interrupted in any way continue to the very same weights."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from commands import train
from data.errors import InputError
from pdsl.run.checkpoint import load_checkpoint
from tests.train.makers import write_vgg16

ROOT = Path(__file__).parents[2]


def run(store: str, config: str, out: Path, *overrides: str, resume: bool = False, init: str | None = None) -> int:
    return train.run(
        config=config, stores=[store], out=str(out), resume=resume, init=init, overrides=list(overrides), data=None
    )


def same(one: Any, other: Any) -> bool:
    """Whether two trees of plain values and tensors are equal bit by bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def assert_same_weights(one: Path, other: Path) -> None:
    a, b = load_checkpoint(one), load_checkpoint(other)
    assert a["step"] == b["step"]
    assert same(a["model"], b["model"])
    assert same(a["optimizer"], b["optimizer"])


def log_steps(out: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]


def start(store: str, config: str, out: Path, overrides: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """The same as `run`, in a process of its own."""
    code = (
        "import sys; from commands import train; "
        f"sys.exit(train.run(config={config!r}, stores=[{store!r}], out={str(out)!r}, resume=False, init=None, "
        f"overrides={overrides!r}, data=None))"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, **options)


def wait_for(process: subprocess.Popen[bytes], event: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 100
    while not event() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_resumed_run_ends_like_an_uninterrupted_one(store: str, config: str, tmp_path: Path, kind: str) -> None:
    chosen = f"optimizer.kind={kind}"
    assert run(store, config, tmp_path / "whole", chosen) == 0
    assert run(store, config, tmp_path / "parts", chosen, "steps=5", "checkpoint_every=3") == 0
    (tmp_path / "parts/log.jsonl").open("a").write('{"step": 6, "lo')  # as a killed process may leave it
    assert run(store, config, tmp_path / "parts", "steps=8", resume=True) == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")
    assert log_steps(tmp_path / "whole") == [2, 4, 6, 8]
    assert log_steps(tmp_path / "parts") == [2, 3, 4, 5, 6, 8]
    entries = {}
    for name in ("whole", "parts"):
        entries[name] = json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[-1])
        del entries[name]["images_per_second"]
    assert entries["whole"] == entries["parts"]


def test_killed_process_resumes_exactly(store: str, config: str, tmp_path: Path) -> None:
    overrides = ["steps=12", "checkpoint_every=2", "log_every=3"]
    assert run(store, config, tmp_path / "whole", *overrides) == 0
    out = tmp_path / "killed"
    process = start(store, config, out, overrides)
    wait_for(process, (out / "checkpoints/step-000004.pt").exists)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert run(store, config, out, *overrides, resume=True) == 0
    assert_same_weights(tmp_path / "whole", out)
    assert log_steps(out) == log_steps(tmp_path / "whole")


def test_sigterm_saves_and_says_how_to_continue(
    store: str, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pdsl.train.step import Stepper

    original = Stepper.run

    def terminated(self: Stepper, step: int, images: Any) -> None:
        original(self, step, images)
        if step == 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Stepper, "run", terminated)
    assert run(store, config, tmp_path / "run") == 128 + signal.SIGTERM
    assert load_checkpoint(tmp_path / "run")["step"] == 3
    assert "--resume" in capsys.readouterr().err
    monkeypatch.undo()
    assert run(store, config, tmp_path / "run", resume=True) == 0
    assert run(store, config, tmp_path / "whole") == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "run")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_resume_without_a_checkpoint_starts_anew_and_of_a_finished_run_does_nothing(
    store: str, config: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert run(store, config, out, "steps=2", resume=True) == 0  # nothing there yet: begins
    before = load_checkpoint(out)
    assert run(store, config, out, resume=True) == 0
    assert same(before, load_checkpoint(out))
    for path in (out / "checkpoints").iterdir():
        path.unlink()
    assert run(store, config, out, resume=True) == 0
    assert same(before, load_checkpoint(out))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optimizer.lr=0.5", r"optimizer\.lr: .* 0\.02, not 0\.5.*--init"),
        ("optimiser.lr=1", "did you mean 'optimizer'"),
    ],
)
def test_resume_refuses_what_would_make_it_another_run(
    store: str, config: str, tmp_path: Path, override: str, expected: str
) -> None:
    assert run(store, config, tmp_path / "run", "steps=1") == 0
    with pytest.raises(InputError, match=expected):
        run(store, config, tmp_path / "run", override, resume=True)


def test_an_existing_run_is_not_overwritten(store: str, config: str, tmp_path: Path) -> None:
    assert run(store, config, tmp_path / "run", "steps=1") == 0
    with pytest.raises(InputError, match="exists already; continue it with --resume"):
        run(store, config, tmp_path / "run")


def test_init_takes_the_weights_only(store: str, config: str, tmp_path: Path) -> None:
    assert run(store, config, tmp_path / "first", "steps=2") == 0
    assert run(store, config, tmp_path / "second", "steps=1", "optimizer.lr=0", init=str(tmp_path / "first")) == 0
    assert same(load_checkpoint(tmp_path / "first")["model"], load_checkpoint(tmp_path / "second")["model"])
    assert load_checkpoint(tmp_path / "second")["step"] == 1
    with pytest.raises(InputError, match=r"its weights are of another model"):
        run(store, config, tmp_path / "third", "model.detection.n_r=1", init=str(tmp_path / "first"))
    with pytest.raises(InputError, match=r"nowhere: does not exist"):
        run(store, config, tmp_path / "third", init="nowhere")


def test_what_auto_froze_stays_frozen(store: str, config: str, tmp_path: Path) -> None:
    """`freeze: auto` is settled when weights are loaded; a resumed run and one with --init load none."""
    features = write_vgg16(tmp_path / "v.pth")
    vgg = ["model.backbone.name=vgg16", f"model.backbone.weights={tmp_path / 'v.pth'}", "augment.scales=[32]"]
    few = ["checkpoint_every=1", "optimizer.images_per_step=1"]
    assert run(store, config, tmp_path / "run", *vgg, *few, "steps=1") == 0
    assert "freeze: stem" in (tmp_path / "run/config.yaml").read_text()
    assert run(store, config, tmp_path / "run", "steps=2", resume=True) == 0
    assert run(store, config, tmp_path / "next", *vgg, *few, "steps=1", init=str(tmp_path / "run")) == 0
    bare = [word for word in vgg if "weights" not in word]
    assert run(store, config, tmp_path / "bare", *bare, *few, "steps=1", init=str(tmp_path / "run")) == 0
    assert run(store, config, tmp_path / "bare", "steps=2", resume=True) == 0
    name = "backbone.stem.0.weight"
    for out in ("run", "next", "bare"):
        checkpoint = load_checkpoint(tmp_path / out)
        assert checkpoint["config"]["model"]["backbone"]["freeze"] == "stem"
        assert torch.equal(checkpoint["model"][name], features["features.0.weight"])


def test_loader_processes_change_nothing_and_survive_a_signal_to_the_group(
    store: str, config: str, tmp_path: Path
) -> None:
    assert run(store, config, tmp_path / "whole", "steps=40", "checkpoint_every=40") == 0
    out = tmp_path / "group"
    overrides = ["steps=40", "checkpoint_every=40", "log_every=1", "data.loaders=2"]
    process = start(store, config, out, overrides, start_new_session=True)
    wait_for(process, lambda: (out / "log.jsonl").exists() and len(log_steps(out)) > 2)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert load_checkpoint(out)["step"] < 40
    assert run(store, config, out, *overrides, resume=True) == 0
    assert_same_weights(tmp_path / "whole", out)
    assert log_steps(out) == list(range(1, 41))


def test_an_image_that_vanished_is_named(store: str, config: str, tmp_path: Path) -> None:
    from tests.train.makers import make_store

    url = make_store(tmp_path, train=2)
    (tmp_path / "data/JPEGImages/train_000001.jpg").write_bytes(b"no image")
    for loaders in (0, 1):
        with pytest.raises(InputError, match=r"^[^\n]*train_000001\.jpg[^\n]*--data[^\n]*$"):
            run(url, config, tmp_path / f"run{loaders}", f"data.loaders={loaders}")
