"""What the trainer takes on the device that is there: a training step by part, waiting for data, and detection."""

import resource
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import torch

from benchmarks.trainer.parts import REST, told
from benchmarks.trainer.simulation import Launches
from data.decode import decode_record
from pdsl.cache import CacheReader
from pdsl.config.tree import Config
from pdsl.evaluate.infer import as_proposals, detect_image, detect_images, to_predictions
from pdsl.evaluate.tta import views
from pdsl.model.build import build_model, equip_backbone
from pdsl.model.pdsl import PDSL
from pdsl.model.precision import cast_once, use_bfloat16
from pdsl.train.distributed import World
from pdsl.train.loader import batches
from pdsl.train.meters import Meters
from pdsl.train.optimizer import build_optimizer
from pdsl.train.step import Stepper
from store.contents import read_proposals

WARM_UP = 3


class Stopwatch:
    """Seconds by part, without those of the parts within: of the wall, of this process's threads and of the device."""

    def __init__(self, device: torch.device) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.cpu: dict[str, float] = defaultdict(float)
        self._events: list[tuple[str, Any, Any]] = []
        self._cuda = device.type == "cuda"
        self._parts = [REST]
        self._last = self._now()

    @contextmanager
    def enter(self, part: str) -> Iterator[None]:
        """What runs within the block counts for `part`."""
        self._charge()
        self._parts.append(part)
        try:
            yield
        finally:
            self._charge()
            self._parts.pop()

    def device(self) -> dict[str, float]:
        """Seconds between the marks on a CUDA device's stream; empty elsewhere."""
        self._charge()
        synchronise(self._cuda)
        found: dict[str, float] = defaultdict(float)
        for part, begin, end in self._events:
            found[part] += begin.elapsed_time(end) / 1e3
        return found

    def _charge(self) -> None:
        now = self._now()
        part, (wall, cpu, mark) = self._parts[-1], self._last
        self.wall[part] += now[0] - wall
        self.cpu[part] += now[1] - cpu
        if mark is not None:
            self._events.append((part, mark, now[2]))
        self._last = now

    def _now(self) -> tuple[float, float, Any]:
        mark = None
        if self._cuda:
            mark = torch.cuda.Event(enable_timing=True)
            mark.record()
        return time.perf_counter(), time.process_time(), mark


@dataclass(frozen=True)
class Part:
    """Of a part, for each image: seconds of the wall, of this process's threads and of a CUDA device; operators."""

    wall: float
    cpu: float
    device: float
    launches: float


@dataclass(frozen=True)
class Trained:
    """Of training, for each image: seconds of the wall, of the host until a step is launched, of waiting for data, of
    all threads of this process; operators; most bytes held, of the device or of this process."""

    wall: float
    host: float
    wait: float
    cpu: float
    launches: float
    peak: int
    parts: dict[str, Part]


def synchronise(cuda: bool) -> None:
    """Wait for the device."""
    if cuda:
        torch.cuda.synchronize()


def ready_model(config: Config, cache: CacheReader, device: torch.device) -> PDSL:
    """With random weights, on which speed does not depend, and the backbone as `train` has it: frozen as the
    configuration says, with the feature maps that it keeps. Raises InputError for maps of a backbone that learns."""
    model = build_model(config.model, len(cache.class_names), config.seed).to(device)
    equip_backbone(model, config, begin_cache=True)
    return model


def measure_training(model: PDSL, config: Config, cache: CacheReader, world: World, steps: int) -> Trained:
    """Of so many updates, with the loaders of the configuration; then some more to tell the parts apart. Where feature
    maps are kept, all of that is done once before, so that it finds them."""
    cuda = world.device.type == "cuda"
    images = config.optimizer.images_per_step // world.size
    stepper = Stepper(model.train(), build_optimizer(model, config.optimizer), config, world, Meters(world.device))
    few = max(1, steps // 4)
    load = partial(
        batches,
        cache,
        seed=config.seed,
        steps=range(WARM_UP + steps + few + 1),
        images_per_step=config.optimizer.images_per_step,
        rank=world.rank,
        world_size=world.size,
        loaders=config.data.loaders,
        pin=cuda,
        together=config.data.together,
    )
    if model.backbone.cache is not None:
        for step, batch in enumerate(load()):
            stepper.run(step, batch)
    loaded = load()
    for step in range(WARM_UP):
        stepper.run(step, next(loaded))
    synchronise(cuda)
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    wait = host = 0.0
    began, cpu = time.perf_counter(), time.process_time()
    for step in range(WARM_UP, WARM_UP + steps):
        asked = time.perf_counter()
        batch = next(loaded)
        got = time.perf_counter()
        stepper.run(step, batch)
        wait, host = wait + got - asked, host + time.perf_counter() - got
    synchronise(cuda)
    wall, cpu, n = time.perf_counter() - began, time.process_time() - cpu, steps * images
    peak = torch.cuda.max_memory_allocated() if cuda else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    given = [next(loaded) for _ in range(few)]
    watch = Stopwatch(world.device)
    with told(watch.enter):
        for step, batch in enumerate(given, WARM_UP + steps):
            stepper.run(step, batch)
    device, launches = watch.device(), _launches(stepper, next(loaded), WARM_UP + steps + few)
    n_timed = few * images
    parts = {
        part: Part(
            seconds / n_timed, watch.cpu[part] / n_timed, device.get(part, 0.0) / n_timed, launches[part] / images
        )
        for part, seconds in watch.wall.items()
    }
    return Trained(wall / n, host / n, wait / n, cpu / n, sum(launches.values()) / images, peak, parts)


def _launches(stepper: Stepper, batch: Any, step: int) -> dict[str, int]:
    """Operators of one update by part."""
    counted: dict[str, int] = defaultdict(int)
    parts = [REST]
    with Launches() as launches:
        seen = 0

        def charge() -> None:
            nonlocal seen
            counted[parts[-1]] += launches.total - seen
            seen = launches.total

        @contextmanager
        def enter(part: str) -> Iterator[None]:
            charge()
            parts.append(part)
            try:
                yield
            finally:
                charge()
                parts.pop()

        with told(enter):
            stepper.run(step, batch)
        charge()
    return counted


@dataclass(frozen=True)
class Detected:
    """Of detection, for each image, in seconds: decoding, what runs on the device, making masks of it, one after the
    other (medians); the wall and all threads' time of an image where they overlap."""

    decode: float
    device: float
    masks: float
    wall: float
    cpu: float

    @property
    def behind(self) -> float:
        """Seconds of the wall that an image takes beyond the device's."""
        return max(0.0, self.wall - self.device)


def measure_detection(model: PDSL, config: Config, cache: CacheReader, images: int, tta: bool) -> Detected:
    """Of so many images, single scale or with all views."""
    source, inference = cache.sources[0], config.inference
    device = next(model.parameters()).device
    cuda, bf16 = device.type == "cuda", use_bfloat16(config.precision, device)
    class_ids = list(range(len(cache.class_names)))
    seconds: list[tuple[float, float, float]] = []
    records = [source.images.records[number] for _, number in cache.items[:images]]
    ready = cast_once(model) if bf16 else model
    look = partial(detect_image, ready, config=inference, looks=views(inference, tta), bf16=bf16)
    before = records[:1] if model.backbone.cache is None else records  # to warm up, and to keep all feature maps
    for record in before + records:
        began = time.perf_counter()
        pixels = decode_record(record, **source.store.decoding)
        decoded = time.perf_counter()
        row = int(source.store.rows([record.id])[0])
        proposals = as_proposals(*read_proposals(source.store, row), device, config.data)
        tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy()).to(device)
        synchronise(cuda)
        ready = time.perf_counter()
        found = look(image=tensor, proposals=proposals)
        synchronise(cuda)
        looked = time.perf_counter()
        to_predictions(found, record.id, record.size, inference.mask_threshold, class_ids)
        seconds.append((decoded - began, looked - ready, time.perf_counter() - looked))
    decode, on_device, masks = (median(column) for column in zip(*seconds[len(before) :], strict=True))
    listed = replace(source.images, records=records)
    began, cpu = time.perf_counter(), time.process_time()
    for _ in detect_images(model, config, listed, source.store, class_ids, tta=tta):
        pass
    n = len(records)
    return Detected(decode, on_device, masks, (time.perf_counter() - began) / n, (time.process_time() - cpu) / n)
