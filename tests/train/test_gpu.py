"""On a CUDA device: no step waits for the device, and bf16 runs."""

import pytest
import torch

from pdsl.cache import open_cache
from pdsl.config.load import load_config
from pdsl.model.build import build_model
from pdsl.train.distributed import World
from pdsl.train.meters import Meters
from pdsl.train.optimizer import build_optimizer
from pdsl.train.step import Stepper
from tests import needs


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
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(1, 4):
            stepper.run(step, images)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    averages = meters.read(world, 4)
    assert averages.n_blocked == 0 and averages.steps == 4
