"""What the engine itself costs: overhead, scaling, a stage without work, random reads by the trainer.

    python -m benchmarks.engine_speed [overhead|workers|nothing|reads|writes|remote] ...

Every figure is a median; what is compared runs alternately, since machines are noisy.
"""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.engine.s3 import BUCKET, s3_server
from benchmarks.engine.toy import NoParams, first_stage, image_list, nothing_stage
from data.records import ImageList
from pipeline.executors.choose import DeferredExecutor
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from pipeline.spec import ArraySpec, Stage, StageInput
from store.create import create_or_open
from store.store import open_store

P, Q, SIDE, ROW = 2000, 2000, 56, 7


@dataclass(frozen=True)
class BusyCompute:
    """`seconds` of CPU time, then boxes and scores at P = 2000 (fixed values: making them is no part of the engine)."""

    seconds: float

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        until = time.process_time() + self.seconds
        while time.process_time() < until:
            pass
        return {"busy/box": _BOX, "busy/score": _SCORE, "busy/count": np.array(P, np.int32)}


_BOX = np.random.default_rng(0).random((P, 4), np.float32) * 500
_SCORE = np.sort(np.random.default_rng(1).random(P, np.float32))[::-1].copy()


def busy_stage(seconds: float) -> Stage:
    """A stage of known work."""
    arrays = (
        ArraySpec("busy/box", (P, 4), "float32"),
        ArraySpec("busy/score", (P,), "float32"),
        ArraySpec("busy/count", (), "int32"),
    )
    return Stage("busy", 1, NoParams(), arrays, BusyCompute(seconds), needs_image=False)


@dataclass(frozen=True)
class TrainerCompute:
    """What the trainer reads of an image, with masks of ellipses: compressible as real ones are."""

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        return {**_TRAINER, "like/count": np.array(P, np.int32), "like/seeds": np.array(Q, np.int32)}


def _ellipses() -> np.ndarray:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:SIDE, :SIDE]
    centre, axes = rng.uniform(12, 44, (Q, 2, 1, 1)), rng.uniform(9, 30, (Q, 2, 1, 1))
    inside = ((y - centre[:, 0]) / axes[:, 0]) ** 2 + ((x - centre[:, 1]) / axes[:, 1]) ** 2 < 1
    return np.packbits(inside, axis=-1)


_TRAINER = {
    "like/box": _BOX,
    "like/score": _SCORE,
    "like/seed": np.arange(Q, dtype=np.uint16),
    "like/mask": _ellipses(),
}


def trainer_stage() -> Stage:
    """The six arrays of a trainer's read in one stage."""
    rows = tuple(ArraySpec(name, value.shape, str(value.dtype)) for name, value in _TRAINER.items())
    scalars = (ArraySpec("like/count", (), "int32"), ArraySpec("like/seeds", (), "int32"))
    return Stage("like", 1, NoParams(), (*rows, *scalars), TrainerCompute(), needs_image=False)


def run(folder: Path, images: ImageList, stage: Stage, workers: int) -> float:
    """Seconds of a run over a fresh store; the start of worker processes is not counted (a warm-up run goes before)."""
    with closing(DeferredExecutor(workers=workers, scheduler=None, cluster=None)) as executor:
        if workers:
            few = image_list(32 * workers)
            run_stage(
                create_or_open(str(folder / f"warm-{workers}.zarr"), few),
                few,
                nothing_stage(),
                executor,
                overwrite=True,
            )
        url = folder / f"{time.monotonic_ns()}.zarr"
        store = create_or_open(str(url), images)
        started = time.perf_counter()
        run_stage(store, images, stage, executor)
        return time.perf_counter() - started


def overhead(folder: Path) -> None:
    """Engine against a bare loop at 0.1 s of work an image, in CPU time of this process, so that noise matters less."""
    images, stage = image_list(64), busy_stage(0.1)
    bare, engine = [], []
    for _ in range(3):
        started = time.process_time()
        for record in images.records:
            stage.compute(StageInput(record, None))
        bare.append(time.process_time() - started)
        started = time.process_time()
        run(folder, images, stage, 0)
        engine.append(time.process_time() - started)
    a, b = statistics.median(bare) / 64, statistics.median(engine) / 64
    print(f"overhead: bare loop {a * 1e3:.2f} ms an image, engine {b * 1e3:.2f} ms: +{(b / a - 1) * 100:.1f} %")


def workers(folder: Path) -> None:
    """Two workers against one: work that keeps a core busy, and work that waits (whoever else computes here)."""
    for name, stage in {"busy": busy_stage(0.1), "waiting": first_stage(seconds=0.1)}.items():
        ratios = []
        for _ in range(3):
            one, two = run(folder, image_list(128), stage, 1), run(folder, image_list(128), stage, 2)
            ratios.append(one / two)
            print(f"workers: {name}: one {one:.2f} s, two {two:.2f} s: {ratios[-1]:.2f} x", flush=True)
        print(f"workers: {name}: median {statistics.median(ratios):.2f} x", flush=True)


def nothing(folder: Path) -> None:
    """Status only, serial and with two workers: time an image, and how memory grows."""
    for n in (10_000, 100_000):
        images = image_list(n)
        started = time.perf_counter()
        create_or_open(str(folder / f"create-{n}.zarr"), images)
        created = (time.perf_counter() - started) / n * 1e3
        for count in (0, 2):
            seconds = run(folder, images, nothing_stage(), count)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"nothing: {n} images, {count or 'no'} workers: {seconds / n * 1e3:.3f} ms an image "
                f"(+ {created:.3f} ms to create the store); peak memory of the client {peak:.0f} MiB",
                flush=True,
            )


def reads(folder: Path) -> None:
    """Random reads of the trainer's six arrays: this reader, and plain zarr-python."""
    import zarr

    images = image_list(320)
    run(folder, images, trainer_stage(), 0)
    url = max(folder.glob("*.zarr"), key=lambda path: path.stat().st_mtime)
    store, names = open_store(str(url)), [spec.name for spec in trainer_stage().arrays]
    arrays = [zarr.open_array(str(url / name), mode="r") for name in names]
    rows = np.random.default_rng(3).permutation(len(images))
    readers: dict[str, Callable[[int], object]] = {
        "this reader": lambda row: [store.read(name, row) for name in names],
        "zarr-python": lambda row: [array[row] for array in arrays],
    }
    for row in rows[:32].tolist():
        for read in readers.values():
            read(row)
    for name, read in readers.items():
        wall, cpu = [], []
        for row in rows.tolist():
            started, busy = time.perf_counter(), time.process_time()
            read(row)
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - busy)
        print(
            f"reads: {name}: median {statistics.median(wall) * 1e3:.2f} ms an image "
            f"({statistics.median(cpu) * 1e3:.2f} ms of CPU), {1 / statistics.mean(cpu):.0f} images/s and core"
        )


def writes(folder: Path) -> None:
    """Writing the trainer's arrays: this engine, and plain zarr-python into the same layout."""
    import zarr

    images, stage = image_list(64), trainer_stage()
    mine, plain = [], []
    for _ in range(3):
        started = time.process_time()
        run(folder, images, stage, 0)
        mine.append(time.process_time() - started)
        url = max(folder.glob("*.zarr"), key=lambda path: path.stat().st_mtime)
        given = StageInput(images.records[0], None)
        blocks = {n: np.stack([v] * 32) for n, v in stage.compute(given).items()}
        arrays = {name: zarr.open_array(str(url / name), mode="r+") for name in blocks}
        started = time.process_time()
        for first in (0, 32):
            for name, block in blocks.items():
                arrays[name][first : first + 32] = block
        plain.append(time.process_time() - started)
    a, b = statistics.median(mine) / 64 * 1e3, statistics.median(plain) / 64 * 1e3
    print(f"writes: this engine {a:.2f} ms of CPU an image (records, lock and all), zarr-python {b:.2f} ms")


def remote(folder: Path) -> None:
    """What a run on an S3 server (rclone, on this machine) takes before and beside the work, for 10,000 images."""
    images = image_list(10_000)
    with s3_server(folder):
        url = f"s3://{BUCKET}/remote.zarr"
        steps: dict[str, Callable[[], object]] = {
            "create the store": lambda: create_or_open(url, images),
            "a stage without work": lambda: run_stage(open_store(url), images, nothing_stage(), SerialExecutor()),
            "read the image list": lambda: open_store(url).images(),
            "read an array of scalars": lambda: open_store(url).read("nothing/status", slice(None)),
            "run again, nothing to do": lambda: run_stage(open_store(url), images, nothing_stage(), SerialExecutor()),
        }
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            print(f"remote: {name}: {time.perf_counter() - started:.2f} s", flush=True)


PARTS = {
    "overhead": overhead,
    "workers": workers,
    "nothing": nothing,
    "reads": reads,
    "writes": writes,
    "remote": remote,
}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
def main(parts: tuple[str, ...]) -> None:
    """Measure the parts named, or all."""
    for name in parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder))


if __name__ == "__main__":
    main()
