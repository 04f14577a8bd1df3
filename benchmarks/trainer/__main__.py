"""What the trainer costs.

    python -m benchmarks.trainer                        # on the GPU if there is one, else at reduced size on the CPU
    python -m benchmarks.trainer --store URL key=value  # on a store of yours; under torchrun on several devices
    python -m benchmarks.trainer --papers-way           # beside a literal trainer of the paper's, in the same run
    python -m benchmarks.trainer --simulate h100        # FLOPs, bytes, launches and roofline of a GPU not there

Measured are a training step, by part (of an image: seconds of the wall, of all threads of this process and of the
device, operators), what it waits for data, memory, and detection. Weights are random, as speed does not depend on them.
Without --store scenes with random boxes are written to a temporary folder, as many boxes as the configuration takes.
With `features.cache=DIR` every feature map is computed and kept before anything is measured, as in all epochs but the
first; the folder is left as it was.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.engine.trainable import make_store
from benchmarks.trainer.maps import own_maps
from benchmarks.trainer.measure import Detected, Trained, measure_detection, measure_training, ready_model
from benchmarks.trainer.roofline import DEVICES, simulate
from benchmarks.trainer.roofline_detection import simulate_detection
from data.errors import InputError
from data.heap import keep_memory
from data.parameters import replace
from pdsl.cache import open_cache
from pdsl.config.load import load_config
from pdsl.config.shipped import find_config
from pdsl.config.tree import Config
from pdsl.model.pdsl import PDSL
from pdsl.train.distributed import join_world

SIDE = 480
"""Longer side of the scenes, in pixels, as of a photograph of VOC."""


def main() -> None:
    parser = option_parser()
    options = parser.parse_args()
    try:
        if options.simulate:
            simulate(options.simulate, options.overrides, options.devices)
            simulate_detection(options.simulate, DEVICES[options.simulate], options.overrides)
            return
        with tempfile.TemporaryDirectory() as folder:
            run(chosen_config(options, Path(folder)), options)
    except InputError as error:
        parser.error(str(error))


def run(config: Config, options: Any) -> None:
    """Measure, and print what was found."""
    if config.threads:
        torch.set_num_threads(config.threads)
    if options.papers_way:
        from benchmarks.trainer.papers_way import compare  # OpenCV is not where GPUs are

        print(compare(replace(config, {"features": {"cache": None}}), options.steps))
        return
    keep_memory()  # as `train` and `eval` do
    with own_maps(config) as config, join_world(config.device) as world:
        cache = open_cache(config.data, config.classes)
        model = ready_model(config, cache, world.device)
        trained = measure_training(model, config, cache, world, options.steps)
        if world.is_first:
            print(describe(config, model, world.device, world.size))
            print(training_table(trained))
            for tta in (False, True):
                found = measure_detection(model, config, cache, options.images, tta)
                print(detection_line("all views" if tta else "single scale", found), flush=True)


def option_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="default: voc-paper on a GPU, voc-vgg16-cpu on a CPU")
    parser.add_argument("--store", help="of a training set; default: scenes with random boxes")
    parser.add_argument("--freeze", choices=("none", "stem", "all"), default="all", help="of the backbone")
    parser.add_argument("--steps", type=int, default=12, help="updates that are measured")
    parser.add_argument("--images", type=int, default=6, help="images that are looked at")
    parser.add_argument("--papers-way", action="store_true", help="compare with a literal trainer of the paper's")
    parser.add_argument("--simulate", choices=sorted(DEVICES), metavar="DEVICE", help=", ".join(sorted(DEVICES)))
    parser.add_argument("--devices", type=int, nargs="*", default=(1, 2, 4, 8), help="numbers of them to simulate")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser


def chosen_config(options: Any, folder: Path) -> Config:
    """The configuration asked for, on the store asked for or on one that is made in `folder`."""
    name = options.config or ("voc-paper" if torch.cuda.is_available() else "voc-vgg16-cpu")
    overrides = ["model.backbone.weights=FILE", f"model.backbone.freeze={options.freeze}", *options.overrides]
    store = options.store
    if store is not None:
        return load_config(find_config(name), [*overrides, ("data.stores", [store])])
    config = load_config(find_config(name), overrides)
    made = make_store(folder, side=SIDE, capacity=config.data.max_proposals // 4 * 4)
    return dataclasses.replace(replace(config, {"data": {"stores": [made]}}), classes={})  # scenes have names of theirs


def describe(config: Config, model: PDSL, device: torch.device, processes: int) -> str:
    """One line: what is measured on what."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    maps = "" if model.backbone.cache is None else ", its maps read from the disk"
    return (
        f"{config.model.backbone.name}, frozen: {model.backbone.frozen}{maps}, {config.data.max_proposals} proposals, "
        f"{config.optimizer.images_per_step} images an update, precision {config.precision}; {processes} x {where}, "
        f"torch {torch.__version__}"
    )


def training_table(found: Trained) -> str:
    """A summary and a row a part; times in ms of an image."""
    lines = [
        f"training: {1 / found.wall:.2f} images/s a process; of an image: {1e3 * found.wall:.1f} ms wall, "
        f"{1e3 * found.host:.1f} ms host, {1e3 * found.cpu:.1f} ms CPU, {found.launches:.0f} operators; "
        f"data wait {100 * found.wait / found.wall:.1f} %; peak {found.peak / 1e9:.2f} GB",
        f"{'part':18s}{'wall ms':>9s}{'CPU ms':>9s}{'device ms':>11s}{'operators':>11s}",
    ]
    for name, part in sorted(found.parts.items(), key=lambda item: -item[1].wall):
        device = f"{1e3 * part.device:11.2f}" if part.device else f"{'-':>11s}"
        lines.append(f"{name:18s}{1e3 * part.wall:9.2f}{1e3 * part.cpu:9.2f}{device}{part.launches:11.0f}")
    return "\n".join(lines)


def detection_line(name: str, found: Detected) -> str:
    """Times in ms of an image."""
    parts = f"decoding {1e3 * found.decode:.1f}, on the device {1e3 * found.device:.1f}, masks {1e3 * found.masks:.1f}"
    return (
        f"detection, {name}: {parts} ms one after the other; together {1e3 * found.wall:.1f} ms wall "
        f"({1e3 * found.behind:.1f} beyond the device's), {1e3 * found.cpu:.1f} ms CPU"
    )


if __name__ == "__main__":
    main()
