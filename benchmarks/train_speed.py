"""Images a second of the training step, and CPU seconds an image: loading, and the whole.

python -m benchmarks.train_speed --config configs/demo.yaml --store URL [--steps 20] [key=value …]
"""

import argparse
import time
from typing import Any

import torch

from pdsl.cache import open_cache
from pdsl.config.load import load_config
from pdsl.model.build import build_model
from pdsl.train.distributed import join_world
from pdsl.train.loader import batches
from pdsl.train.meters import Meters
from pdsl.train.optimizer import build_optimizer
from pdsl.train.step import Stepper

WARM_UP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("overrides", nargs="*")
    options: Any = parser.parse_args()
    config = load_config(options.config, [*options.overrides, ("data.stores", [options.store])])
    if config.threads:
        torch.set_num_threads(config.threads)
    with join_world(config.device) as world:
        cache = open_cache(config.data, config.classes)
        model = build_model(config.model, len(cache.class_names), config.seed).to(world.device).train()
        optimizer = build_optimizer(model, config.optimizer)
        stepper = Stepper(model, optimizer, config, world, Meters(world.device))
        steps = range(WARM_UP + options.steps)
        loading = wall = cpu = 0.0
        images = batches(
            cache,
            seed=config.seed,
            steps=steps,
            images_per_step=config.optimizer.images_per_step,
            rank=world.rank,
            world_size=world.size,
            loaders=config.data.loaders,
            pin=world.device.type == "cuda",
        )
        for step in steps:
            if step == WARM_UP:
                loading, wall, cpu = 0.0, time.perf_counter(), time.process_time()
            begun = time.process_time()
            batch = next(images)
            loading += time.process_time() - begun
            stepper.run(step, batch)
        if world.device.type == "cuda":
            torch.cuda.synchronize()
        n = options.steps * config.optimizer.images_per_step
        rate = n / (time.perf_counter() - wall)
        print(
            f"{world.size} x {world.device}, {torch.get_num_threads()} threads: {rate:.2f} images/s, "
            f"{(time.process_time() - cpu) / n:.4f} CPU s/image, {loading / n:.4f} of it loading in this process"
        )


if __name__ == "__main__":
    main()
