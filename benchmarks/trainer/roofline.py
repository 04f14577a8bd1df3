"""What a training step would take on a device that is not there: `python -m benchmarks.trainer --simulate h100`.

Every operator below autograd is given the time of its arithmetic or of the bytes that it reads and writes, whichever is
longer; what the two pooling operators gather goes by what real proposals covered. The floor is the matrix products and
convolutions alone. Nothing of it was measured on the device: it is a prediction to be compared with a first real run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.trainer.parts import REST, told
from benchmarks.trainer.simulation import is_launch, simulated_step
from pdsl.augment import Transform
from pdsl.config.load import load_config
from pdsl.config.shipped import find_config
from pdsl.config.tree import Config
from pdsl.model.footprint import PeakMemory

ROI_SHARE = 0.06
"""Share of a map's cells that RoIPool visits for a box: 691 of 106 x 110, the mean of 2,000 proposals of 63 images."""
ROI_SAMPLES = 12.9
"""Points of RoIAlign in a bin, each between four cells, over the rows of a mask branch of fixed size."""
PASS = Transform((600, 800), True, (0, 0, 800, 600), 1.2, 1.3, window=(5, 21, 455, 359), hsv=True)
"""Every part of the augmentation takes part; 600 x 800 is the middle of the paper's scales."""
BACKBONES = ("resnet18-ws", "resnet50-ws", "resnet101-ws", "vgg16")


@dataclass(frozen=True)
class Device:
    """half, single: FLOP/s of large products in bf16 and float32 as they are reached, not as they are advertised.
    memory: bytes a second; cache: of gathers that a cache of the device answers; link: bytes a second that a process
    exchanges with all others; launch: seconds of the host for an operator."""

    half: float
    single: float
    memory: float
    cache: float
    link: float
    launch: float = 6e-6


DEVICES = {
    "h100": Device(half=600e12, single=50e12, memory=3.35e12, cache=5.5e12, link=300e9),
    "h200": Device(half=600e12, single=50e12, memory=4.8e12, cache=5.5e12, link=300e9),
    "a100": Device(half=240e12, single=18e12, memory=2.0e12, cache=4.0e12, link=200e9),
}


@dataclass
class Cost:
    """Of a part: operators started, FLOPs of matrix products and convolutions, bytes moved, seconds by the roofline and
    of the products alone."""

    launches: int = 0
    flops: float = 0
    moved: float = 0
    seconds: float = 0
    floor: float = 0


@dataclass
class Costs(TorchDispatchMode):
    """Counts what runs while it is on, by part."""

    device: Device
    parts: dict[str, Cost] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._part = [REST]
        self._flops = FlopCounterMode(display=False).flop_registry

    @contextmanager
    def enter(self, part: str) -> Iterator[None]:
        """What runs within the block counts for `part`."""
        self._part.append(part)
        try:
            yield
        finally:
            self._part.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if is_launch(func):
            self._count(func, args, kwargs or {}, made)
        return made

    def _count(self, func: Any, args: Any, kwargs: Any, made: Any) -> None:
        tensors = [t for t in tree_leaves((args, kwargs, made)) if isinstance(t, Tensor)]
        cost = self.parts.setdefault(self._part[-1], Cost())
        counter = self._flops.get(func._overloadpacket)
        flops = float(counter(*args, **kwargs, out_val=made)) if counter else 0.0
        half = any(t.dtype == torch.bfloat16 for t in tensors)
        floor = flops / (self.device.half if half else self.device.single)
        moved = float(sum(t.numel() * t.element_size() for t in tensors))
        gathered = _gathered(func, args)
        cost.launches += 1
        cost.flops += flops
        cost.moved += moved
        cost.floor += floor
        cost.seconds += max(floor, moved / self.device.memory, gathered / self.device.cache)

    @property
    def whole(self) -> Cost:
        """All parts together."""
        every = self.parts.values()
        return Cost(*(sum(getattr(cost, name) for cost in every) for name in Cost.__dataclass_fields__))


def _gathered(func: Any, args: Any) -> float:
    """Bytes that a pooling operator reads from the map, cell by cell."""
    name = func.name().split("::")[1].split(".")[0]
    if name == "roi_pool":
        cells, boxes = args[0], args[1]
        return ROI_SHARE * len(boxes) * cells[0].numel() * 4.0
    if name in ("roi_align", "_roi_align_backward"):
        boxes, sides = (args[1], args[3:5])
        channels = args[0].shape[1]
        return len(boxes) * channels * prod(sides) * ROI_SAMPLES * 4 * 4.0 * (2 if "backward" in name else 1)
    return 0.0


@dataclass(frozen=True)
class Prediction:
    """Of a step, for each image: its costs; of a process: most bytes held, of what it exchanges, images an update."""

    costs: Costs
    peak: int
    exchanged: int
    images: int

    def seconds(self, devices: int) -> float:
        """Of an update's image on one of so many devices: device or host, whichever is longer, and the exchange, of
        which nothing is hidden."""
        whole, device = self.costs.whole, self.costs.device
        passing = max(whole.seconds, whole.launches * device.launch)
        exchange = 2 * (devices - 1) / devices * self.exchanged / device.link
        return passing / self.images + exchange / max(1, self.images // devices)


def predict(config: Config, device: Device, n_classes: int, transform: Transform = PASS) -> Prediction:
    """The second update of a run, the first folds the frozen norms."""
    images = config.optimizer.images_per_step
    peak = PeakMemory(float("inf"))
    with simulated_step(config, n_classes, images=images, size=(375, 500), transform=transform, watch=peak) as (
        stepper,
        samples,
    ):
        stepper.run(0, samples)
        costs = Costs(device)
        with told(costs.enter), costs:
            stepper.run(1, samples)
        exchanged = sum(p.numel() * 4 for p in stepper.weights.trained)
    return Prediction(costs, peak.peak, exchanged, images)


def simulate(name: str, overrides: Sequence[str], devices: Sequence[int]) -> None:
    """Print the tables of training: the parts of ResNet18-WS with its trunk frozen, and every backbone on 1 to 8
    devices."""
    device = DEVICES[name]
    rows = []
    for backbone in BACKBONES:
        for freeze in ("all", "stem" if backbone == "vgg16" else "none"):
            config = load_config(
                find_config("voc-paper"),
                [
                    f"base=backbone/{backbone}.yaml",
                    "precision=bfloat16",
                    "model.backbone.weights=FILE",
                    f"model.backbone.freeze={freeze}",
                    *overrides,
                ],
            )
            found = predict(config, device, 20)
            if not rows:
                print(f"{name}, {backbone}, trunk frozen, for each image of an update of {found.images}\n")
                print(part_table(found.costs, found.images))
            rows.append(backbone_row(backbone, freeze, found, devices))
    shown = " | ".join(f"{n} dev., images/s" for n in devices)
    columns = "launches | TFLOP | GB moved | floor, ms | roofline, ms | host, ms | peak, GB"
    print(f"\n| Backbone | frozen | {columns} | {shown} |")
    print("|---" * (9 + len(devices)) + "|")
    print("\n".join(rows))


def part_table(costs: Costs, images: int) -> str:
    """Markdown: a row a part, each of so many images."""
    lines = ["| Part | launches | GFLOP | MB moved | floor, ms | roofline, ms | host, ms |", "|---" * 7 + "|"]
    for part, cost in (costs.parts | {"all": costs.whole}).items():
        lines.append(f"| {part} | {_cells(cost, images, costs.device, giga=1e9, mega=1e6)} |")
    return "\n".join(lines)


def backbone_row(backbone: str, freeze: str, found: Prediction, devices: Sequence[int]) -> str:
    """Markdown: one configuration on several numbers of devices."""
    rates = " | ".join(f"{n / found.seconds(n):.0f}" for n in devices)
    cells = _cells(found.costs.whole, found.images, found.costs.device, giga=1e12, mega=1e9)
    return f"| {backbone} | {freeze} | {cells} | {found.peak / 1e9:.1f} | {rates} |"


def _cells(cost: Cost, n: int, device: Device, giga: float, mega: float) -> str:
    numbers = cost.flops / n / giga, cost.moved / n / mega
    times = (1e3 * seconds / n for seconds in (cost.floor, cost.seconds, cost.launches * device.launch))
    return f"{cost.launches / n:.0f} | " + " | ".join(f"{x:.2f}" for x in (*numbers, *times))
