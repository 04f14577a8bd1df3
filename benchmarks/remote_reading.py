"""What a training process reads from an object store a second: the trainer's arrays of random images.

    python -m benchmarks.remote_reading [--images N]

Each way reads the same images of the same store, in turns; `rclone serve s3` on this machine is the object store, so
it takes its share of the same cores. Beside it: what the server gives to a client that asks for nothing but the same
bytes, signs its requests beforehand, and looks at none of them.
"""

import http.client
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import SplitResult

import click
import numpy as np
import psutil

from benchmarks.engine.s3 import BUCKET, s3_server
from benchmarks.engine.toy import image_list
from benchmarks.engine_speed import trainer_stage
from pipeline.executors.serial import SerialExecutor
from pipeline.runner import run_stage
from store.copies import Copies
from store.create import create_or_open
from store.direct import DirectReader
from store.shards import decode_index, index_size, locate
from store.store import Store, open_store

NAMES = ("like/box", "like/score", "like/seed", "like/mask")
GROUP = 8
ROUNDS = 3
Reader = Callable[[list[int]], object]


def one_by_one(store: Store, rows: list[int]) -> None:
    """A request an array, each after the other."""
    for row in rows:
        for name in NAMES:
            store.read(name, row)


def together(store: Store, copies: Copies | None, group: int, rows: list[int]) -> None:
    """All arrays of `group` images in one round trip."""
    for first in range(0, len(rows), group):
        store.read_together(NAMES, rows[first : first + group], copies)


class PlainRequests:
    """The same bytes by addresses that were signed beforehand, through as many connections as a group has arrays."""

    def __init__(self, store: Store, rows: list[int]) -> None:
        objects = store.objects
        reader = DirectReader(objects._fs, objects._root)  # type: ignore[attr-defined]
        self._wanted, self._own = {}, threading.local()
        for row in rows:
            for name in NAMES:
                layout = store.layout(name)
                index, slot = divmod(row, layout.shard)
                tail = decode_index(objects.read(layout.key(index), -index_size(layout.slots)), layout.slots)
                self._wanted[row, name] = reader._address(layout.key(index)), *locate(tail, slot)
        self._threads = ThreadPoolExecutor(len(NAMES) * GROUP)

    def _get(self, wanted: tuple[SplitResult, int, int]) -> bool:
        address, start, stop = wanted
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(address.netloc)
        headers = {"Range": f"bytes={start}-{stop - 1}"}
        self._own.connection.request("GET", f"{address.path}?{address.query}", headers=headers)
        return len(self._own.connection.getresponse().read()) == stop - start

    def __call__(self, rows: list[int]) -> None:
        if not all(self._threads.map(self._get, [self._wanted[row, name] for row in rows for name in NAMES])):
            raise RuntimeError("the server answered with other bytes")


def measure(read: Reader, rows: list[int], server: psutil.Process) -> tuple[float, float, float]:
    """Images a second on the clock; milliseconds of a core an image takes here, and in the server."""
    started, own, other = time.perf_counter(), time.process_time(), sum(server.cpu_times()[:2])
    read(rows)
    seconds, n = time.perf_counter() - started, len(rows)
    busy = time.process_time() - own, sum(server.cpu_times()[:2]) - other
    return n / seconds, busy[0] / n * 1e3, busy[1] / n * 1e3


@click.command()
@click.option("--images", default=320, show_default=True)
def main(images: int) -> None:
    """Print a line for each way of reading: medians of three rounds."""
    with tempfile.TemporaryDirectory() as folder, s3_server(Path(folder)) as _:
        (server,) = [p for p in psutil.Process().children() if "rclone" in " ".join(p.cmdline())]
        listed, url = image_list(images), f"s3://{BUCKET}/reading.zarr"
        run_stage(create_or_open(url, listed), listed, trainer_stage(), SerialExecutor())
        rows = np.random.default_rng(0).permutation(images).tolist()
        kept = Copies(Path(folder) / "copies", 10**10)
        stores = [open_store(place) for place in (url, url, url, url, str(Path(folder) / BUCKET / "reading.zarr"))]
        for store in stores:
            store.status("like")
            one_by_one(store, list(range(0, images, 32)))  # the shards' indexes
        together(stores[3], kept, GROUP, rows)
        ways: dict[str, Reader] = {
            "S3, a request after the other": partial(one_by_one, stores[0]),
            "S3, an image in a round trip": partial(together, stores[1], None, 1),
            f"S3, {GROUP} images in a round trip": partial(together, stores[2], None, GROUP),
            "S3, from copies on this machine": partial(together, stores[3], kept, GROUP),
            "a folder": partial(together, stores[4], None, GROUP),
            "S3, the same bytes, nothing done": PlainRequests(stores[0], rows),
        }
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, read in ways.items():
                found[name].append(measure(read, rows, server))
        for name, measured in found.items():
            speed, here, there = (statistics.median(column) for column in zip(*measured, strict=True))
            print(f"{name}: {speed:.0f} images/s; {here:.2f} ms of a core here, {there:.2f} ms in the server")


if __name__ == "__main__":
    main()
