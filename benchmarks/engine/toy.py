"""Small stages and image lists for tests and benchmarks: cheap, deterministic, importable by worker processes."""

import ctypes
import hashlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.records import ImageList, ImageRecord
from pipeline.spec import ArraySpec, ImageFailure, Stage, StageInput


def image_list(n: int, *, prefix: str = "im", folder: str = "/nowhere") -> ImageList:
    """`n` images without files: ids im00000.., sizes from the index, one of two classes."""
    records = tuple(
        ImageRecord(f"{prefix}{k:05d}", f"{folder}/{prefix}{k:05d}.png", (10 + k % 7, 20), (k % 2,)) for k in range(n)
    )
    return ImageList("folder:toy", "train", ("cat", "dog"), (1, 2), records)


def noise(text: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 values that depend on `text` only."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).random(shape, np.float32)


def _loop() -> None:
    while True:
        pass


ENDLESS: dict[str, Callable[[], object]] = {
    "loop": _loop,
    "wait": lambda: time.sleep(3600),
    "native": lambda: ctypes.PyDLL(None).sleep(3600),  # PyDLL keeps the interpreter's lock
}


@dataclass(frozen=True)
class ToyParams:
    """seconds: work an image. fail, kill: ids that fail, or kill their process. endless: id -> how its work never ends:
    "loop" in Python, "wait" in the system, "native" in code that lets no other thread run."""

    rows: int = 5
    seconds: float = 0.0
    fail: tuple[str, ...] = ()
    kill: tuple[str, ...] = ()
    endless: tuple[tuple[str, str], ...] = ()
    log: str = ""


@dataclass(frozen=True)
class FirstCompute:
    """toy/box from the image's id; a line in a file for each image it works on."""

    params: ToyParams

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        p, image_id = self.params, given.record.id
        if p.log:
            with Path(p.log).open("a") as file:
                file.write(f"{image_id}\n")
        if p.seconds:
            time.sleep(p.seconds)
        if image_id in p.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if how := dict(p.endless).get(image_id):
            ENDLESS[how]()
        if image_id in p.fail:
            raise ImageFailure("told to fail")
        count = len(image_id) % (p.rows + 1)
        return {"toy/box": noise(image_id, (p.rows, 4)), "toy/count": np.array(count, np.int32)}


@dataclass(frozen=True)
class SecondParams:
    """scale: of the sums."""

    scale: float = 1.0


@dataclass(frozen=True)
class SecondCompute:
    """toy_sum/sum from toy/box."""

    params: SecondParams

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        total = given.arrays["toy/box"].sum(axis=1) * np.float32(self.params.scale)
        return {"toy_sum/sum": total.astype(np.float32)}


def first_stage(**values: object) -> Stage:
    """Stage "toy": boxes and a count. `log` is no part of its identity."""
    params = ToyParams(**values)  # type: ignore[arg-type]
    identity = ToyParams(rows=params.rows)
    arrays = (ArraySpec("toy/box", (params.rows, 4), "float32"), ArraySpec("toy/count", (), "int32"))
    return Stage("toy", 1, identity, arrays, FirstCompute(params), needs_image=False)


def second_stage(rows: int = 5, scale: float = 1.0) -> Stage:
    """Stage "toy-sum", which reads "toy"."""
    params = SecondParams(scale)
    arrays = (ArraySpec("toy_sum/sum", (rows,), "float32"),)
    return Stage("toy-sum", 1, params, arrays, SecondCompute(params), reads=("toy/box",), needs_image=False)


@dataclass(frozen=True)
class NoParams:
    """None."""


@dataclass(frozen=True)
class PixelCompute:
    """Mean colour: needs the decoded image."""

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        assert given.image is not None
        return {"pixels/mean": given.image.reshape(-1, 3).mean(axis=0).astype(np.float32)}


def pixel_stage() -> Stage:
    """Stage "pixels"."""
    return Stage("pixels", 1, NoParams(), (ArraySpec("pixels/mean", (3,), "float32"),), PixelCompute())


@dataclass(frozen=True)
class NothingCompute:
    """No work at all."""

    def __call__(self, given: StageInput) -> dict[str, np.ndarray]:
        return {}


def nothing_stage() -> Stage:
    """Stage "nothing": status only."""
    return Stage("nothing", 1, NoParams(), (), NothingCompute(), needs_image=False)


def chunk_bytes(root: Path) -> dict[str, bytes]:
    """Every array chunk of a local store by relative path."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and "/c/" in str(path))
    return {str(path.relative_to(root)): path.read_bytes() for path in files}
