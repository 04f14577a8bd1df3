"""On a CUDA device: no step waits for the device, bf16 runs, memory stays within bounds, a killed run goes on, several
devices agree."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from benchmarks.engine.trainable import make_store
from commands import train
from pdsl.cache import open_cache
from pdsl.config.load import load_config
from pdsl.model.build import build_model
from pdsl.run.checkpoint import load_checkpoint
from pdsl.train.distributed import World
from pdsl.train.meters import Meters
from pdsl.train.optimizer import build_optimizer
from pdsl.train.step import Stepper
from tests import needs
from tests.train.makers import write_vgg16
from tests.train.test_independence import arguments, torchrun
from tests.train.test_launches import CONFIG as FULL_SIZE
from tests.train.test_launches import MOST_MEMORY
from tests.train.test_resume import ROOT, assert_same_weights, run, wait_for


@contextmanager
def synchronising_raises() -> Iterator[None]:
    """Within the block every wait of the host for the device is an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.parametrize("overrides", [[], ["model.correlation.enabled=false"]], ids=["plain", "no correlation"])
def test_a_step_never_synchronises(store: str, config: str, overrides: list[str]) -> None:
    needs.CUDA.or_skip()
    settled = load_config(config, [*overrides, "device=cuda", ("data.stores", [store])])
    world = World(0, 1, torch.device("cuda", 0))
    cache = open_cache(settled.data, settled.classes)
    model = build_model(settled.model, len(cache.class_names), 0).to(world.device).train()
    meters = Meters(world.device)
    stepper = Stepper(model, build_optimizer(model, settled.optimizer), settled, world, meters)
    images = [cache.read(index).pin_memory() for index in range(4)]
    stepper.run(0, images)  # the first step allocates
    with synchronising_raises():
        for step in range(1, 4):
            stepper.run(step, images)
    averages = meters.read(world, 4)
    assert averages.n_blocked == 0 and averages.steps == 4


@pytest.mark.gpu
@pytest.mark.parametrize("freeze", ["all", "none"])
def test_steps_of_full_size_wait_for_nothing_and_fit(tmp_path: Path, freeze: str) -> None:
    """ResNet18-WS, 2,000 proposals, the largest scale; beside tensors libraries have workspaces."""
    needs.CUDA.or_skip()
    url = make_store(tmp_path, train=4, side=500, capacity=2000)
    overrides = [
        "device=cuda",
        "model.backbone.weights=FILE",
        f"model.backbone.freeze={freeze}",
        "augment.scales=[1216]",
    ]
    settled = load_config(FULL_SIZE, [*overrides, ("data.stores", [url])])
    world, cache = World(0, 1, torch.device("cuda", 0)), open_cache(settled.data, settled.classes)
    model = build_model(settled.model, len(cache.class_names), 0).to(world.device).train()
    stepper = Stepper(model, build_optimizer(model, settled.optimizer), settled, world, Meters(world.device))
    images = [cache.read(index).pin_memory() for index in range(settled.optimizer.images_per_step)]
    stepper.run(0, images)
    torch.cuda.reset_peak_memory_stats()
    with synchronising_raises():
        for step in range(1, 4):
            stepper.run(step, images)
    torch.cuda.synchronize()
    assert torch.cuda.max_memory_allocated() < MOST_MEMORY + 2e9


@pytest.mark.gpu
@pytest.mark.parametrize("freeze", ["all", "none"])
def test_a_killed_run_goes_on(store: str, config: str, tmp_path: Path, freeze: str) -> None:
    """To the same bits with a frozen trunk. The backward passes of torchvision's RoIPool and RoIAlign add in no fixed
    order on a GPU, so a trained trunk is close only."""
    needs.CUDA.or_skip()
    write_vgg16(tmp_path / "v.pth")
    overrides = ["device=cuda", "steps=8", "checkpoint_every=2", "log_every=2", f"model.backbone.freeze={freeze}"]
    overrides += ["model.backbone.name=vgg16", f"model.backbone.weights={tmp_path / 'v.pth'}", "optimizer.lr=0.001"]
    assert run(store, config, tmp_path / "whole", *overrides) == 0
    out = tmp_path / "killed"
    code = f"from commands import train; train.run(**{job(store, config, out, overrides)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
    wait_for(process, (out / "checkpoints/step-000004.pt").exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert run(store, config, out, *overrides, resume=True) == 0
    if freeze == "all":
        assert_same_weights(tmp_path / "whole", out)
    else:
        one, other = (load_checkpoint(folder)["model"] for folder in (tmp_path / "whole", out))
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)


def job(store: str, config: str, out: Path, overrides: list[str]) -> dict[str, object]:
    return arguments(store, config, out) | {"overrides": overrides}


@pytest.mark.gpu
def test_devices_agree(store: str, config: str, tmp_path: Path) -> None:
    """Two processes on two devices, by NCCL, against one: gradients of a frozen trunk are summed in the same order."""
    needs.CUDA.or_skip()
    if torch.cuda.device_count() < 2:
        pytest.skip("one CUDA device; NCCL needs two")
    write_vgg16(tmp_path / "v.pth")
    given = ("device=cuda", "model.backbone.name=vgg16", f"model.backbone.weights={tmp_path / 'v.pth'}")
    given = (*given, "model.backbone.freeze=all")
    single: Callable[..., int] = train.run
    assert single(**arguments(store, config, tmp_path / "1", *given)) == 0
    torchrun(2, arguments(store, config, tmp_path / "2", *given))
    assert_same_weights(tmp_path / "1", tmp_path / "2")
