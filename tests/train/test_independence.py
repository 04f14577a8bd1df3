"""One batch of 4, 4 passes of 1, and 4 processes of 1 give the same update, with dropout and augmentation on: passes of
1 and any power of two of processes to the last bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from commands import train
from pdsl.run.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
OVERRIDES = ["steps=2", "checkpoint_every=1", "log_every=2", "optimizer.images_per_step=4"]


def arguments(store: str, config: str, out: Path, *overrides: str) -> dict[str, object]:
    overrides = (*OVERRIDES, *overrides)
    return {
        "config": config,
        "stores": [store],
        "out": str(out),
        "resume": False,
        "init": None,
        "overrides": list(overrides),
        "data": None,
    }


def updates(out: Path) -> dict[str, torch.Tensor]:
    """Momentum after the first update is the gradient itself; the weights after the second are the outcome."""
    first = load_checkpoint(out / "checkpoints/step-000001.pt")["optimizer"]["state"]
    gradients = {f"gradient {key}": value["momentum_buffer"] for key, value in first.items()}
    return gradients | load_checkpoint(out)["model"]


def assert_close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Equal to float32 rounding on the scale of the largest gradient: some gradients are zero but for rounding (that of
    the detection stream's bias, which the softmax over proposals cancels)."""
    assert one.keys() == other.keys()
    largest = max(float(value.abs().max()) for name, value in one.items() if name.startswith("gradient"))
    assert largest > 1e-2
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-6 * largest, msg=name)


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys() and len(one)
    assert not [name for name, value in one.items() if not torch.equal(value, other[name])]


def torchrun(processes: int, job: dict[str, object]) -> None:
    code = f"from commands import train; train.run(**{job!r})"
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "--no-python"]
    subprocess.run(
        [sys.executable, *launch, sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        timeout=600,
    )


def test_batch_passes_and_processes_agree(store: str, config: str, tmp_path: Path) -> None:
    assert train.run(**arguments(store, config, tmp_path / "batch", "optimizer.images_per_pass=4")) == 0  # type: ignore[arg-type]
    assert train.run(**arguments(store, config, tmp_path / "passes")) == 0  # type: ignore[arg-type]
    torchrun(4, arguments(store, config, tmp_path / "processes"))
    passes = updates(tmp_path / "passes")
    assert_close(updates(tmp_path / "batch"), passes)
    assert_equal(updates(tmp_path / "processes"), passes)


@pytest.mark.slow
def test_processes_agree_to_the_bit_over_a_run(store: str, config: str, tmp_path: Path) -> None:
    """Where an update differs by rounding, the runs part: pseudo boxes are maxima."""
    long = ("steps=50", "checkpoint_every=50", "log_every=10")
    assert train.run(**arguments(store, config, tmp_path / "1", *long)) == 0  # type: ignore[arg-type]
    for processes in (2, 4):
        torchrun(processes, arguments(store, config, tmp_path / str(processes), *long))
        assert_equal(load_checkpoint(tmp_path / str(processes))["model"], load_checkpoint(tmp_path / "1")["model"])


def test_dropout_and_augmentation_take_part(store: str, config: str, tmp_path: Path) -> None:
    """What the test above holds fixed does matter: another seed, no dropout or no flips give other weights."""
    outcomes = []
    for number, change in enumerate(["seed=3", "model.box_head.dropout=0", "augment.flip=0", "augment.crop=1"]):
        assert train.run(**arguments(store, config, tmp_path / str(number), change)) == 0  # type: ignore[arg-type]
        outcomes.append(updates(tmp_path / str(number))["gradient 0"])
    for outcome in outcomes[1:]:
        assert not torch.allclose(outcome, outcomes[0], rtol=1e-3)
