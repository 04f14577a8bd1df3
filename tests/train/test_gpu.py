"""On a CUDA device: no step waits for the device, bf16 runs, memory stays within bounds, a killed run goes on, several
devices agree. On a CPU the same in small, so that no test waits for a GPU to fail by itself."""

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
from pdsl.config.tree import Config
from pdsl.model.build import build_model
from pdsl.raw_sample import RawSample
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

CUDA = pytest.param("cuda", marks=pytest.mark.gpu)
CPU_OR_CUDA = pytest.mark.parametrize("device", ["cpu", CUDA])
SLOW_CPU_OR_CUDA = pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.slow), CUDA])


def world_of(device: str) -> World:
    if device == "cpu":
        return World(0, 1, torch.device("cpu"))
    needs.CUDA.or_skip()
    return World(0, 1, torch.device("cuda", 0))


def stepper_of(settled: Config, world: World) -> tuple[Stepper, list[RawSample]]:
    """And the images of a step, as the loader would give them."""
    cache = open_cache(settled.data, settled.classes)
    model = build_model(settled.model, len(cache.class_names), 0).to(world.device).train()
    stepper = Stepper(model, build_optimizer(model, settled.optimizer), settled, world, Meters(world.device))
    images = [cache.read(index) for index in range(settled.optimizer.images_per_step)]
    return stepper, [image.pin_memory() for image in images] if world.device.type == "cuda" else images


@contextmanager
def synchronising_raises(world: World) -> Iterator[None]:
    """Within the block every wait of the host for the device is an error; a CPU has none."""
    if world.device.type == "cpu":
        yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@CPU_OR_CUDA
@pytest.mark.parametrize("overrides", [[], ["model.correlation.enabled=false"]], ids=["plain", "no correlation"])
def test_a_step_never_synchronises(store: str, config: str, device: str, overrides: list[str]) -> None:
    world = world_of(device)
    stepper, images = stepper_of(load_config(config, [*overrides, ("data.stores", [store])]), world)
    stepper.run(0, images)  # the first step allocates
    with synchronising_raises(world):
        for step in range(1, 4):
            stepper.run(step, images)
    averages = stepper.meters.read(world, 4)
    assert averages.n_blocked == 0 and averages.steps == 4


@CPU_OR_CUDA
@pytest.mark.parametrize("freeze", ["all", "none"])
def test_steps_of_full_size_wait_for_nothing_and_fit(tmp_path: Path, device: str, freeze: str) -> None:
    """ResNet18-WS, 2,000 proposals, the largest scale; beside tensors libraries have workspaces."""
    world, cuda = world_of(device), device == "cuda"
    url = make_store(tmp_path, train=4, side=500, capacity=2000 if cuda else 40)
    size = ["augment.scales=[1216]"] if cuda else ["augment.scales=[96]", "model.box_head.hidden=[32,32]"]
    overrides = ["model.backbone.weights=FILE", f"model.backbone.freeze={freeze}", *size]
    stepper, images = stepper_of(load_config(FULL_SIZE, [*overrides, ("data.stores", [url])]), world)
    stepper.run(0, images)
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    with synchronising_raises(world):
        for step in range(1, 4):
            stepper.run(step, images)
    assert stepper.meters.read(world, 4).n_blocked == 0
    if cuda:
        torch.cuda.synchronize()
        assert torch.cuda.max_memory_allocated() < MOST_MEMORY + 2e9


@SLOW_CPU_OR_CUDA
@pytest.mark.parametrize("freeze", ["all", "none"])
def test_a_killed_run_goes_on(store: str, config: str, tmp_path: Path, device: str, freeze: str) -> None:
    """To the same bits with a frozen trunk. The backward passes of torchvision's RoIPool and RoIAlign add in no fixed
    order on a GPU, so a trained trunk is close only."""
    world_of(device)
    write_vgg16(tmp_path / "v.pth")
    overrides = [f"device={device}", "steps=8", "checkpoint_every=2", "log_every=2", f"model.backbone.freeze={freeze}"]
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


@SLOW_CPU_OR_CUDA
def test_devices_agree(store: str, config: str, tmp_path: Path, device: str) -> None:
    """Two processes on two devices, by NCCL, against one: gradients of a frozen trunk are summed in the same order."""
    world_of(device)
    if device == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip("one CUDA device; NCCL needs two")
    write_vgg16(tmp_path / "v.pth")
    given = (f"device={device}", "model.backbone.name=vgg16", f"model.backbone.weights={tmp_path / 'v.pth'}")
    given = (*given, "model.backbone.freeze=all")
    single: Callable[..., int] = train.run
    assert single(**arguments(store, config, tmp_path / "1", *given)) == 0
    torchrun(2, arguments(store, config, tmp_path / "2", *given))
    assert_same_weights(tmp_path / "1", tmp_path / "2")
